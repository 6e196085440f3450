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
# # 3 · Read an experiment
#
# Who was in it, whether its figures may be used at all, what it found, and what it could not have found. The world is yours if
# it has an experiment with a plan (`make loop` makes one); else a simulated one, whose treatment has 8 % more clicks.

# %%
from recsys_platform.notebook.simulated import simulated_experiment
from recsys_platform.notebook.world import open_world

world = open_world()
if not world.experiments()["has_plan"].any():
    world = simulated_experiment()
experiments = world.experiments()
name = experiments.index[experiments["has_plan"]][-1]
experiments.drop(columns=["has_plan", "hypothesis"])

# %% [markdown]
# ## The verdict first

# %%
result = world.experiment(name)
print(f"{name}: {result.verdict}. {result.sentence}")

# %% [markdown]
# ## May it be read? (health)
#
# If the groups do not have the sizes of their weights (sample ratio mismatch), if readers saw two variants, if models moved or events
# are missing, the groups cannot be compared, and no figure below means anything.

# %%
print("\n".join(result.findings) or "No health check found anything: the figures may be used.")
result.readers()

# %% [markdown]
# ## What it found
#
# The lift is treatment ÷ control - 1. What is known of the readers from before the experiment is taken off, which makes it less noisy.
# The interval holds on *all* days together: you may look every day, and stop on the day you like.

# %%
table = result.table()
table.style.format(
    {
        **dict.fromkeys(["control", "treatment"], "{:.4g}"),
        **dict.fromkeys(["lift", "low", "high"], "{:+.1%}"),
        "p_value": "{:.2g}",
        "power": "{:.0%}",
        "needed": "{:,.0f}",
    }
)

# %%
result.plot()

# %%
for (variant, metric), row in table.iterrows():
    sure = (
        "significantly more than"
        if row["low"] > 0
        else "significantly less than"
        if row["high"] < 0
        else "not significantly different from"
    )
    print(f"{metric} of {variant} is {sure} the control: {row['lift']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%}).")

# %% [markdown]
# ## What it could not have found (power)
#
# `power` is the chance to find the smallest effect worth having with the readers there are. `needed` is how many readers *each
# variant* needs for the planned power. "Nothing found" at low power says little. Before you start, `recsys experiments plan`
# computes how many readers and days it takes.

# %%
counted = result.readers().loc["counts", "readers"]
print(f"The smaller group has {counted.min():,} readers.")
for (_, metric), row in table.iterrows():
    enough = "enough" if row["needed"] <= counted.min() else "not enough for the planned power"
    print(f"{metric}: {row['needed']:,.0f} needed, that is {enough}.")

# %% [markdown]
# ## Segments
#
# Exploratory: among many groups one always looks good. p-values are corrected for that; what stands out asks for the next experiment.

# %%
segments = result.segments()
if segments.empty:
    print("No segment has 100 readers in each group.")
else:
    striking = segments[segments["p_value"] < 0.05]
    print(f"{len(striking)} of {len(segments)} segments are significantly different from no effect, after correction.")
segments.round(3)

# %% [markdown]
# ## What a broken experiment looks like
#
# The same experiment, but the app of the treatment crashes for a tenth of its readers, whose events are lost. Whatever the lift
# looks like, it must not be used: those who are left are not those who were assigned.

# %%
broken = simulated_experiment(lost=0.1).experiment("simulated")
print(broken.verdict)
print("\n".join(broken.findings))

# %% [markdown]
# ## What no effect looks like
#
# An A/A test: both variants are the same. At most one such test in twenty finds a difference, though one looks every day.

# %%
none = simulated_experiment(lift=0.0).experiment("simulated")
print(none.sentence)
none.plot()
