"""Whether the statistics of experiments keep what they promise, in simulated experiments of readers who return and differ.

    python benchmarks/experiments.py [--experiments N] [--readers N] [--days N] [--seed S] [--picture FILE] [--brief] [--json]

A reader arrives on some day, comes back, sees several books a day and clicks by a rate of its own. Each of N experiments without an
effect (A/A), and each of N with a planted one, is looked at every day. `aa_…`: share of A/A experiments that a method calls
different: at the end (`t`, `proportion`, `delta`, `cuped`), or on any day (`sequential`, `sequential_cuped`, `always_valid`).
`naive`, `naive_daily`: the z-test of clicks as if each were a reader of its own, `peeking`: the delta method, every day without
bounds. `aa_false_positives`: the largest of ours, `aa_least`: the smallest of those with one look. `power_…` and `power_gap`: the
largest distance of the share of planted effects found to the planner's promise. `sequential_power_ratio`: found with a look every
day ÷ found with one at the end. `coverage_…`: share of 95 % intervals with the planted effect; of `sequential` and `always_valid`
those that hold it on all days. `canary_…`: of as many canaries as a fifth of N, see experiments_canary.py. `readout_…`:
seconds of CPU to read an experiment of 10 million exposures and to make its marts, see experiments_readout.py.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from experiments_canary import canary_figures
from experiments_readout import readout_figures
from measure import Budget, keeps_all, show
from numpy.random import Generator
from scipy.special import ndtri

sys.path.append(str(Path(__file__).parents[1]))  # for tests/support

from recsys_platform.experiments.statistics import always_valid, estimators, planning, sequential
from recsys_platform.experiments.statistics.estimators import Comparison
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.recommender.arrays import BoolArray, DoubleArray
from tests.support.reader_sums import critical_t, difference_interval, proportion_sums, reader_sums

ALPHA = 0.05
NOISE = 2.576 * np.sqrt(ALPHA * (1 - ALPHA) / 2000)
"""Of a share of 2,000 experiments, 99 %."""
BUDGET = {
    "aa_false_positives": Budget("≤", round(ALPHA + NOISE, 4)),
    "aa_least": Budget("≥", round(ALPHA - NOISE, 4)),
    "power_gap": Budget("≤", 0.03),
    "sequential_power_ratio": Budget("≥", 0.9),
    "coverage_least": Budget("≥", 0.94),
    "coverage_most": Budget("≤", 0.96),
    "coverage_sequential": Budget("≥", 0.94),
    "coverage_always_valid": Budget("≥", 0.94),
    "aa_naive": Budget("≥", 0.1),
    "canary_false_rollbacks": Budget("≤", 0.05),
    "canary_caught": Budget("≥", 0.95),
    "canary_bad_exposed": Budget("≤", 0.05),
    "readout_seconds_10m": Budget("≤", 5),
    "readout_day_ratio": Budget("≤", 1.3),
}
CTR, EXPOSURES_A_DAY, PRE_DAYS, KNOWN = 0.1, 2.0, 14, 0.8
CHUNK = 40
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "experiments-false-positives.png"
Metrics = dict[str, tuple[Sums, Sums]]
"""Sums of control and treatment by metric; arrays of (experiments, days)."""


@dataclass(frozen=True)
class World:
    """Size of the experiments: readers of a variant, days."""

    readers: int
    days: int


def sums_of_variant(random: Generator, world: World, count: int, lift: float) -> dict[str, Sums]:
    """The sums of one variant in `count` experiments, arrays of (count, days)."""
    size = (count, world.readers)
    rate = random.beta(2, 2 / CTR - 2, size)
    activity = random.gamma(2.0, EXPOSURES_A_DAY / 2, size)
    known = (random.random(size) < KNOWN).astype(np.float64)
    seen_before = random.poisson(activity * PRE_DAYS).astype(np.float64)
    clicked_before = random.binomial(seen_before.astype(np.int64), rate).astype(np.float64)
    first_day = np.maximum(0, random.integers(-world.days // 2, world.days, size))
    seen, clicked = np.zeros(size), np.zeros(size)
    ratios, shares = [], []
    for day in range(world.days):
        books = random.poisson(np.where(first_day <= day, activity, 0.0))
        seen += books
        clicked += random.binomial(books, np.minimum(rate * (1 + lift), 1.0))
        arrived = (seen > 0).astype(np.float64)
        ratios.append(
            _without_absent(reader_sums(clicked, seen, clicked_before, seen_before, known * arrived), arrived)
        )
        shares.append(proportion_sums(arrived.sum(axis=-1), (clicked > 0).sum(axis=-1).astype(np.float64)))
    ctr, proportion = _stacked(ratios), _stacked(shares)
    mean = Sums(ctr.n, ctr.x, ctr.n, ctr.xx, ctr.n, ctr.x)
    return {"ctr": ctr, "mean": mean, "proportion": proportion}


def _without_absent(sums: Sums, arrived: DoubleArray) -> Sums:
    """The readers who have seen a book: the others add nothing but to the number of readers."""
    return Sums(arrived.sum(axis=-1), *(getattr(sums, each.name) for each in fields(Sums)[1:]))


def _values(sums: Sums) -> list[DoubleArray]:
    """The sums in order, all of one shape."""
    return [np.broadcast_to(getattr(sums, each.name), np.shape(sums.n)) for each in fields(Sums)]


def _stacked(days: list[Sums]) -> Sums:
    return Sums(*(np.stack(each, axis=-1) for each in zip(*map(_values, days), strict=True)))


def _joined(parts: list[Sums]) -> Sums:
    return Sums(*(np.concatenate(each) for each in zip(*map(_values, parts), strict=True)))


def simulate(random: Generator, world: World, experiments: int, lift: float) -> Metrics:
    """Both variants of many experiments."""
    sizes = [min(CHUNK, experiments - start) for start in range(0, experiments, CHUNK)]
    control = [sums_of_variant(random, world, size, 0.0) for size in sizes]
    treatment = [sums_of_variant(random, world, size, lift) for size in sizes]
    return {
        name: (_joined([each[name] for each in control]), _joined([each[name] for each in treatment]))
        for name in control[0]
    }


def last_day(comparison: Comparison) -> Comparison:
    """The comparison at the end of the experiments."""
    return Comparison(*(_level_at_end(each) for each in (comparison.control, comparison.treatment)))


def _level_at_end(level: estimators.Level) -> estimators.Level:
    return estimators.Level(*(np.asarray(getattr(level, each.name))[:, -1] for each in fields(level)))


def sequential_bounds(comparison: Comparison) -> DoubleArray:
    """The bound of each experiment on each day, (experiments, days)."""
    information = 1 / np.asarray(comparison.lift_error) ** 2
    share = np.arange(1, information.shape[1] + 1) / information.shape[1]
    return np.array([sequential.daily_bounds(share, each, ALPHA) for each in information])


def naive_statistic(sums: tuple[Sums, Sums]) -> DoubleArray:
    """z of two shares of clicks, each click for itself."""
    control, treatment = sums
    pooled = (control.x + treatment.x) / (control.y + treatment.y)
    error = np.sqrt(pooled * (1 - pooled) * (1 / control.y + 1 / treatment.y))
    return np.asarray((treatment.x / treatment.y - control.x / control.y) / error)


@dataclass(frozen=True)
class Judged:
    """What the methods say of many experiments: which found a difference, and whose intervals hold the planted lift."""

    found: dict[str, BoolArray]
    covered: dict[str, BoolArray]
    by_day: dict[str, DoubleArray]


def judge(metrics: Metrics, lift: float) -> Judged:
    """Apply every method to the same experiments."""
    ctr = estimators.compare(*metrics["ctr"])
    cuped = estimators.compare_with_pre_period(*metrics["ctr"])
    ends = {
        "t": last_day(estimators.compare(*metrics["mean"])),
        "proportion": last_day(estimators.compare(*metrics["proportion"])),
        "delta": last_day(ctr),
        "cuped": last_day(cuped),
    }
    found = {name: np.asarray(each.p_value < ALPHA) for name, each in ends.items()}
    covered = {name: _holds_lift(ends[name], lift) for name in ("t", "delta", "cuped")}
    covered |= {f"{name}_difference": _holds_difference(ends[name], lift) for name in ("delta", "cuped")}
    daily = dict(_daily_findings(metrics, ctr, cuped))
    for name in ("sequential", "always_valid"):
        covered[name] = _holds_on_all_days(ctr, lift, name)
    found |= {name: each.any(axis=1) for name, each in daily.items()}
    found["naive"] = daily["naive_daily"][:, -1]
    by_day = {name: np.maximum.accumulate(each, axis=1).mean(axis=0) for name, each in daily.items()}
    return Judged(found, covered, by_day)


def _daily_findings(metrics: Metrics, ctr: Comparison, cuped: Comparison) -> Iterator[tuple[str, BoolArray]]:
    yield "naive_daily", np.abs(naive_statistic(metrics["ctr"])) > ndtri(1 - ALPHA / 2)
    yield "peeking", np.asarray(ctr.p_value < ALPHA)
    for name, comparison in (("sequential", ctr), ("sequential_cuped", cuped)):
        yield name, np.abs(np.asarray(comparison.statistic)) >= sequential_bounds(comparison)
    yield "always_valid", np.asarray(np.abs(ctr.difference) > _always_valid_critical(ctr) * ctr.error)


def _always_valid_critical(ctr: Comparison) -> DoubleArray:
    """Half widths in standard errors, tuned to the error at the end, which a planner knows beforehand."""
    at_end = float(np.median(np.asarray(ctr.error)[:, -1]))
    return np.asarray(always_valid.half_width(ctr.error, always_valid.mixing_for(at_end, ALPHA), ALPHA) / ctr.error)


def _holds_lift(comparison: Comparison, lift: float, critical: DoubleArray | None = None) -> BoolArray:
    used = critical_t(comparison, ALPHA) if critical is None else critical
    interval = estimators.lift_interval(comparison, used)
    return np.asarray((interval.low <= lift) & (lift <= interval.high))


def _holds_difference(comparison: Comparison, lift: float) -> BoolArray:
    interval = difference_interval(comparison, critical_t(comparison, ALPHA))
    return np.asarray((interval.low <= lift * CTR) & (lift * CTR <= interval.high))


def _holds_on_all_days(ctr: Comparison, lift: float, method: str) -> BoolArray:
    critical = sequential_bounds(ctr) if method == "sequential" else _always_valid_critical(ctr)
    return np.asarray(_holds_lift(ctr, lift, critical).all(axis=1))


@dataclass(frozen=True)
class Promise:
    """The planted lift of CTR, and the power that the planner promises of each method."""

    lift: float
    power: dict[str, float]


def promise(random: Generator, world: World) -> Promise:
    """Plan on a large past: the lift that the delta method finds with a power of 80 %, and the power of the others for it."""
    past = World(20_000, world.days)
    metrics = {name: sums[0] for name, sums in simulate(random, past, CHUNK, 0.0).items()}
    control = {name: _total(sums) for name, sums in metrics.items()}
    arrived = round(float(np.mean(metrics["ctr"].n[:, -1])) / past.readers * world.readers)
    once, daily = planning.Design(looks=1), planning.Design(looks=world.days)
    baselines = {name: planning.measured_baseline(sums) for name, sums in control.items()}
    baselines["proportion"] = planning.proportion_baseline(baselines["proportion"].value)
    lift = planning.smallest_lift(baselines["ctr"], arrived, once)
    changed = {name: _total(sums[1]) for name, sums in simulate(random, past, CHUNK, lift).items()}
    of_proportion_lift = planning.measured_baseline(changed["proportion"]).value / baselines["proportion"].value - 1
    half = estimators.compare_with_pre_period(control["ctr"], control["ctr"]).control.squared_error
    correlation = float(np.sqrt(1 - half / estimators.level_of(control["ctr"]).squared_error))
    with_pre = {looks: planning.Design(looks=looks, correlation=correlation) for looks in (1, world.days)}
    power = {
        "t": planning.power_with(baselines["mean"], lift, arrived, once),
        "proportion": planning.power_with(baselines["proportion"], of_proportion_lift, arrived, once),
        "delta": planning.power_with(baselines["ctr"], lift, arrived, once),
        "cuped": planning.power_with(baselines["ctr"], lift, arrived, with_pre[1]),
        "sequential": planning.power_with(baselines["ctr"], lift, arrived, daily),
        "sequential_cuped": planning.power_with(baselines["ctr"], lift, arrived, with_pre[world.days]),
    }
    return Promise(lift, power)


def _total(sums: Sums) -> Sums:
    """The last day of all experiments together."""
    return Sums(*(np.sum(each[:, -1]) for each in _values(sums)))


def figures_of(same: Judged, planted: Judged, promised: Promise) -> dict[str, float]:
    """The figures, as described at the top."""
    false = {name: float(found.mean()) for name, found in same.found.items()}
    power = {name: float(found.mean()) for name, found in planted.found.items() if "naive" not in name}
    covered = {name: float(np.mean([same.covered[name], planted.covered[name]])) for name in same.covered}
    once = ("t", "proportion", "delta", "cuped")
    fixed = [share for name, share in covered.items() if name not in ("sequential", "always_valid")]
    return {
        "aa_false_positives": max(false[n] for n in (*once, "sequential", "sequential_cuped", "always_valid")),
        "aa_least": min(false[name] for name in once),
        "power_gap": max(abs(power[name] - promised.power[name]) for name in promised.power),
        "sequential_power_ratio": power["sequential"] / power["delta"],
        "coverage_least": min(fixed),
        "coverage_most": max(fixed),
        "planted_lift": promised.lift,
        **{f"aa_{name}": share for name, share in false.items()},
        **{f"power_{name}": share for name, share in power.items() if name != "peeking"},
        **{f"promised_{name}": share for name, share in promised.power.items()},
        **{f"coverage_{name}": share for name, share in covered.items()},
    }


LINES = {
    "naive_daily": "each click for itself, a look every day",
    "peeking": "reader as the unit, a look every day without bounds",
    "sequential": "reader as the unit, group-sequential bounds (the default)",
    "always_valid": "reader as the unit, always-valid",
}


def draw(by_day: dict[str, DoubleArray], experiments: int) -> bytes:
    """Draw the share of A/A experiments that were called different by each day."""
    from recsys_platform.reports.evaluation_plots import COLOURS, INK, MUTED, new_figure, png_of, style_axis

    figure = new_figure(10, 4.6, w_pad=0.15, h_pad=0.1, rect=(0, 0, 1, 0.86))
    title = "Experiments without any effect that were called a success or a failure"
    figure.text(0.014, 0.955, title, fontsize=15, fontweight="bold", color=INK, va="center")
    note = f"Share of {experiments:,} simulated A/A experiments on click-through rate, by the last day looked at; dotted: 5 %"
    figure.text(0.014, 0.885, note, fontsize=10.5, color=MUTED, va="center")
    axes = figure.subplots()
    for colour, (name, label) in zip((COLOURS[1], COLOURS[4], COLOURS[0], COLOURS[2]), LINES.items(), strict=True):
        days = np.arange(1, len(by_day[name]) + 1)
        axes.plot(days, 100 * by_day[name], color=colour, linewidth=2.2, marker="o", markersize=4, label=label)
    axes.axhline(5, color=MUTED, linestyle=":", linewidth=1.6)
    axes.set_ylim(0, None)
    axes.set_ylabel("% called different", fontsize=10.5, color=INK)
    axes.legend(loc="upper left", frameon=False, fontsize=10, labelcolor=INK)
    style_axis(axes, "day", grid="y")
    return png_of(figure)


def main() -> None:
    """Simulate, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2_000, help="A/A experiments, and as many with an effect")
    parser.add_argument("--readers", type=int, default=800, help="readers of a variant")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path, help=f"write the picture of the docs here ({PICTURE.name})")
    parser.add_argument("--brief", action="store_true", help="only the figures that have a budget")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    random, world = np.random.default_rng(given.seed), World(given.readers, given.days)
    promised = promise(random, world)
    same = judge(simulate(random, world, given.experiments, 0.0), 0.0)
    planted = judge(simulate(random, world, given.experiments, promised.lift), promised.lift)
    figures = figures_of(same, planted, promised) | canary_figures(random, given.experiments // 5)
    figures |= readout_figures()
    show({n: v for n, v in figures.items() if n in BUDGET or not given.brief}, BUDGET, as_json=given.json)
    if given.picture:
        given.picture.write_bytes(draw(same.by_day, given.experiments))
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
