# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · Look at the data
#
# From the files that land to the marts that models learn from: what arrived, what was lost on the way, how fresh it is, and what the
# data look like. Everything is read from the copy for readers, so it works while a run writes.

# %%
import matplotlib.pyplot as plt

from recsys_platform.notebook.world import open_world

world = open_world()
world

# %% [markdown]
# ## What there is
#
# `marts` are facts and dimensions, `published` is what readers are shown, `ops` is the platform's own book-keeping.
# `make docs` explains each column.

# %%
tables = world.tables()
tables[tables["rows"] > 0].style.format("{:,.0f}")

# %% [markdown]
# ## From landing files to marts
#
# Every record of a landing file is accepted or rejected; every accepted one is a distinct event, a duplicate or invalid. Both sums are
# checked in each run, so a row that does not add up would have stopped it.

# %%
ledger = world.query("""
    select
        split_part(split_part(object_key, '/', 2), '=', 2) as tracker,
        count(*) as files,
        sum(records) as records,
        sum(rejected) as rejected
    from ops.load_ledger
    where object_key like 'engagement_events/%'
    group by 1
    order by 1
""")
accepted = world.query("""
    select
        source as tracker,
        sum(accepted) as accepted,
        sum(distinct_events) as events,
        sum(duplicates) as duplicates,
        sum(invalid) as invalid
    from marts.rpt_event_conservation
    group by 1
""")
flow = ledger.merge(accepted, on="tracker").set_index("tracker").astype(int)
flow

# %%
lost = 1 - flow["events"].sum() / flow["records"].sum()
worst = (1 - flow["events"] / flow["records"]).idxmax()
print(f"Of {flow['records'].sum():,} records {flow['events'].sum():,} are events in the marts.")
print(f"{lost:.1%} are rejected, there twice or invalid; most of all in {worst}.")

# %% [markdown]
# Why records are rejected: `recsys rejected`. Why accepted ones are invalid:

# %%
world.query("""
    select source as tracker, invalid_reason, count(*) as records
    from marts.rpt_invalid_events
    group by 1, 2
    order by 3 desc
""")

# %% [markdown]
# ## How fresh

# %%
fresh = world.query("""
    select source as tracker, max(occurred_at) as newest_event, max(landed_at) as landed_at, max(loaded_at) as loaded_at
    from marts.fct_events
    group by 1
    order by 2 desc
""").set_index("tracker")
fresh

# %%
silent = fresh["newest_event"].max() - fresh["newest_event"]
for tracker, gap in silent.items():
    print(f"{tracker}: {'the newest of all' if not gap.days else f'silent for {gap.days} days, if it is still in use'}")

# %% [markdown]
# What is published is as new as the run that made it:

# %%
world.query(
    "select model, model_version, role, is_live, why, generated_at from published.model_roles order by is_live desc"
)

# %% [markdown]
# ## Events by day

# %%
by_day = world.query("""
    select occurred_on, source as tracker, count(*) as events
    from marts.fct_events
    where not is_bot
    group by 1, 2
""").pivot(index="occurred_on", columns="tracker", values="events")
axes = by_day.fillna(0).plot.area(
    figsize=(10, 3.2), linewidth=0, alpha=0.8, title="Events by day and tracker, without bots"
)
axes.set(xlabel="", ylabel="events")
axes.spines[["top", "right"]].set_visible(False)

# %%
days = by_day.sum(axis=1)
print(f"A day has {days.median():,.0f} events (median); the fewest are {days.min():,.0f} on {days.idxmin():%d %b %Y}.")

# %% [markdown]
# ## What models learn from
#
# `marts.fct_interactions` has a row for each reader and book. Most readers liked few books, and few books have many readers: a
# recommender has to serve both tails.

# %%
pairs = world.query("select user_id, book_id, is_positive, first_at from marts.fct_interactions")
liked = pairs[pairs["is_positive"]]
per_reader, per_book = liked.groupby("user_id").size(), liked.groupby("book_id").size().sort_values(ascending=False)

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
left.hist(per_reader, bins=range(1, per_reader.max() + 2), color="#0072B2")
left.set(title="Books liked by a reader", xlabel="books", ylabel="readers")
middle.plot(range(1, len(per_book) + 1), per_book, color="#D55E00", linewidth=2)
middle.set(title="Readers who like a book", xlabel="book, most liked first", ylabel="readers", ylim=(0, None))
pairs["first_at"].dt.hour.value_counts().sort_index().plot.bar(ax=right, color="#009E73", width=0.8)
right.set(title="When books are first opened", xlabel="hour (UTC)", ylabel="pairs of reader and book")
right.set_xticks(range(0, 24, 6), ["0", "6", "12", "18"], rotation=0)
for axes in (left, middle, right):
    axes.spines[["top", "right"]].set_visible(False)

# %%
readers, books = (
    int(world.query(f"select count(*) as n from marts.{name}")["n"].iloc[0]) for name in ("dim_users", "dim_books")
)
top = per_book.head(max(1, books // 10)).sum() / len(liked)
print(f"{len(per_reader):,} of {readers:,} readers like a book, half of them at most {per_reader.median():.0f}.")
print(f"The most liked tenth of the {books:,} books has {top:.0%} of all likes; {books - len(per_book):,} have none.")
print(f"{len(liked) / readers / books:.2%} of all pairs of a reader and a book are likes.")

# %% [markdown]
# ## What is missing in the attributes

# %%
world.query("""
    select
        avg(case when title is null then 1 else 0 end) as title,
        avg(case when author is null then 1 else 0 end) as author,
        avg(case when language is null then 1 else 0 end) as language,
        avg(case when published_at is null then 1 else 0 end) as published_at,
        avg(case when reading_minutes is null then 1 else 0 end) as reading_minutes
    from marts.dim_books
""").T.rename(columns={0: "share of the books without it"}).style.format("{:.1%}")
