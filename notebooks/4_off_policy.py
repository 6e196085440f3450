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
# # 4 · Off-policy: what readers would have clicked
#
# Which of several policies would have been clicked most, without showing any of them? If some positions of a list are filled by
# chance, and the probability of each book is logged, the clicks on these positions answer it. It is a screen before an
# experiment: what clearly loses here need not be shown to anybody.

# %%
import numpy as np
import pandas as pd

from recsys_platform.notebook.policies import evaluate_policies
from recsys_platform.notebook.world import open_world

world = open_world()

# %% [markdown]
# ## Your own exposures
#
# The published lists of each model, judged by the exposures of this world. Without `exploration.slots` in `list_rules.yaml` nothing is
# left to chance, and the answer is a sentence that says so.

# %%
own = world.off_policy()
print(own.sentence)
own.left_out()

# %%
if not own.table().empty:
    print(own.table().round(4))

# %% [markdown]
# ## A log whose truth we know
#
# The lists and readers of this world, and a rule for clicks: a reader clicks a book of an own interest with 16 %, any other with 4 %.
# Place 5 of each list is filled by a book drawn from the first 20 of the live list, so each has the propensity 1 ÷ 20.

# %%
lists = world.query("""
    select lists.user_id, lists.model, lists.rank, lists.book_id, roles.is_live
    from published.user_recommendations as lists
    inner join published.model_roles as roles on lists.model = roles.model
""")
interests = world.query("select user_id, interests from marts.dim_users").set_index("user_id")["interests"].map(set)
categories = world.query("select book_id, categories from marts.dim_books").set_index("book_id")["categories"].map(set)
live = lists[lists["is_live"]].sort_values(["user_id", "rank"]).groupby("user_id")["book_id"].agg(list)
pool = live[live.map(len) >= 20].str[:20]
print(f"{len(pool):,} readers have a list of 20 books.")


# %%
def click_rate(user: str, book: str) -> float:
    """The truth, which no estimator sees."""
    return 0.16 if interests[user] & categories[book] else 0.04


draw, place = np.random.default_rng(1), 5
users = draw.choice(pool.index, 40_000)
drawn = [pool[user][number] for user, number in zip(users, draw.integers(20, size=len(users)), strict=True)]
rates = np.array([click_rate(user, book) for user, book in zip(users, drawn, strict=True)])
shown = pd.DataFrame({"visitor_id": users, "book_id": drawn, "position": place, "propensity": 1 / 20})
shown["is_clicked"] = draw.random(len(shown)) < rates
shown.head()

# %% [markdown]
# ## Three policies for place 5
#
# - the list of the **live** model;
# - the list of **popularity**, whose book is often not among the 20 that chance could show;
# - **by_interest**: the first of the 20 that is of an interest of the reader.


# %%
def by_interest(user: str) -> str:
    """The first book of the pool that is of an interest of the reader, or the first of all."""
    return next((book for book in pool[user] if interests[user] & categories[book]), pool[user][0])


fifth = lists[lists["rank"] == place].set_index(["model", "user_id"])["book_id"]
policies = {
    "live": [pool[user][place - 1] for user in users],
    "popularity": [fifth.get(("popularity", user)) for user in users],
    "by_interest": [by_interest(user) for user in users],
}
result = evaluate_policies(shown, policies)
result.plot()

# %%
table = result.table()
table[["value", "low", "high", "gain", "could_be_shown", "agreeing", "clicks"]].round(4)

# %% [markdown]
# `ips` weights each click by 1 ÷ propensity. `snips` divides by the mean weight, which is less noisy: take it by default. `dr`
# starts from the click rates of books and corrects them. `gain` is beside the drawn books, not beside the live list. Look at
# `could_be_shown` first: it is 1 but for noise if chance could show all books of a policy; far below, only a part is judged.

# %% [markdown]
# ## Beside the truth

# %%
truth = {}
for policy, listed in policies.items():
    truth[policy] = np.mean([click_rate(user, book) for user, book in zip(users, listed, strict=True) if book])
snips = table.xs("snips", level="estimator").join(pd.Series(truth, name="truth"))
snips["holds"] = (snips["low"] <= snips["truth"]) & (snips["truth"] <= snips["high"])
snips[["truth", "value", "low", "high", "could_be_shown", "holds"]].round(4)

# %%
print(f"{result.sentence}. By the truth the best is {max(truth, key=truth.get)}.")
for policy, row in snips.iterrows():
    if row["could_be_shown"] < 0.9:
        print(
            f"{policy}: chance could show {row['could_be_shown']:.0%} of its books; the estimate is about those alone."
        )

# %% [markdown]
# ## How many exposures it takes
#
# One draw in twenty agrees with a policy, so most exposures tell nothing about it. The interval narrows with the root of their number.

# %%
sizes = [1_000, 4_000, 10_000, 40_000]
widths = []
for size in sizes:
    some = evaluate_policies(shown.head(size), {"by_interest": policies["by_interest"][:size]}).table()
    row = some.xs("snips", level="estimator").iloc[0]
    widths.append(
        {"exposures": size, "clicks": row["clicks"], "value": row["value"], "low": row["low"], "high": row["high"]}
    )
pd.DataFrame(widths).set_index("exposures").round(4)
