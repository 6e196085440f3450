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
# # 2 · Add a variant and read its evaluation
#
# A variant is a model with parameters. Before you add one to `variants.yaml`, try it here: it is trained on the past, as all
# others are, and tested on what the same readers liked next. Nothing is written, and nothing goes live.

# %%
from recsys_platform.notebook.world import open_world

world = open_world()

# %% [markdown]
# ## What the last run found
#
# NDCG is high if the books that a reader liked next stand at the top of the list; coverage is the share of all books that are in some
# list; novelty grows with rare books. `interval` is the 95 % interval of the NDCG.

# %%
newest = world.evaluation()
print(newest.protocol, f"Live is {newest.live}.")
newest.table().round(4)

# %%
newest.plot("popularity")

# %%
best, ratio = newest.models[0], newest.table()["ndcg"].max() / newest.table().loc["popularity", "ndcg"]
print(
    f"{best} is best: its first {newest.k} places hold {ratio:.1f} times as much of what readers liked next as the popular books do."
)

# %% [markdown]
# Models differ by how much they know of a reader. Readers without history (`0 liked`) get the same popular books of their language and
# interests from nearly every model.

# %%
newest.by_history().round(4)

# %% [markdown]
# ## Try a variant
#
# Name and recipe, as they would stand in `variants.yaml`. Misspell a parameter, and the error says which ones there are.
# Popularity and the live model (a blend with all its components) are trained beside it; that takes about half a minute.

# %%
name, recipe = "rare_neighbours", {"model": "item_knn", "weighting": "bm25", "neighbours": 100}
trial = world.try_variant(name, recipe)
trial.table().round(4)

# %% [markdown]
# ## Compare on the same readers
#
# The intervals above overlap where models are close, because readers differ from each other. The difference *on the same readers* is
# more precise: what makes a reader easy or hard to predict is the same for both.

# %%
rival = trial.live or "popularity"
trial.plot(rival)

# %%
found = trial.against(rival).loc[name]
how = (
    "significantly better"
    if found["low"] > 0
    else "significantly worse"
    if found["high"] < 0
    else "not significantly different"
)
print(
    f"{name} is {how}: its NDCG is {found['difference']:+.4f} ({found['low']:+.4f} to {found['high']:+.4f}) beside {rival}, "
    f"on {found['users']:,.0f} readers."
)

# %% [markdown]
# ## What the gate would say
#
# A recipe goes live if it is significantly better than popularity *and* than the live one, and no group of readers loses more
# than 5 %.

# %%
print(trial.verdict(name))

# %% [markdown]
# ## Look at a list
#
# Figures do not say what a list feels like. Take the reader who liked most books, and see what the variant would offer.

# %%
reader = world.query("""
    select user_id, count(*) as books
    from marts.fct_interactions
    where is_positive
    group by 1
    order by 2 desc, 1
    limit 1
""")["user_id"].iloc[0]
books = world.query("select book_id, title, author, categories from marts.dim_books").set_index("book_id")
likes = world.query(
    "select book_id, first_liked_at from marts.fct_interactions where is_positive and user_id = ?", [reader]
)
likes.sort_values("first_liked_at").tail(5).join(books, on="book_id")[["title", "author", "categories"]]

# %%
offered = world.recommend(reader, name, recipe, k=8)
offered.join(books, on="book_id")

# %% [markdown]
# ## Keep it, or not
#
# To keep it, add the lines below to `variants.yaml` (`recsys init` makes the file) and run `recsys run`: from then on every
# run evaluates it, and the gate decides. If it does not beat the live model, it may still be worth an experiment: offline
# figures reward what readers find by themselves.

# %%
print(f"{name}:", *(f"  {key}: {value}" for key, value in recipe.items()), sep="\n")
