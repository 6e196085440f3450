"""Plots of the off-policy evaluation, of read-outs and canaries, in the style of reports/evaluation_plots.py."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recsys_platform.experiments.off_policy import Estimate
from recsys_platform.experiments.published_policies import PolicyReport
from recsys_platform.experiments.readouts import ExperimentReport
from recsys_platform.experiments.statistics.readout import Reading
from recsys_platform.recommender.arrays import DoubleArray
from recsys_platform.reports.evaluation_plots import COLOURS, INK, MUTED, new_figure, png_of, style_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def policies_plot(report: PolicyReport) -> bytes:
    """Draw the estimated clicks of each model's lists by estimator, beside the logged clicks, as a PNG 1000 pixels wide.

    The report must have an estimate.
    """
    models = [each for each in report.models if each.estimates]
    figure = new_figure(10, 2.4 + 0.8 * len(models), w_pad=0.15, h_pad=0.1, rect=(0, 0, 1, 0.86))
    figure.text(0.014, 0.955, report.headline, fontsize=15, fontweight="bold", color=INK, va="center")
    figure.text(0.014, 0.885, _POLICIES, fontsize=10.5, color=MUTED, va="center")
    axes = figure.subplots()
    for place, model in enumerate(reversed(models)):
        for number, estimate in enumerate(model.estimates):
            label = estimate.estimator if place == 0 else None
            _draw_estimate(axes, place + 0.22 * (1 - number), estimate, COLOURS[number], label)
        chance = model.estimates[0].value - model.estimates[0].gain
        axes.plot([chance, chance], [place - 0.4, place + 0.4], color=MUTED, linestyle=":", linewidth=2)
    axes.set_yticks(range(len(models)), [each.model for each in reversed(models)], fontsize=11, color=INK)
    axes.set_ylim(-0.6, len(models) - 0.4)
    axes.legend(loc="best", frameon=False, fontsize=10, labelcolor=INK)
    style_axis(axes, "clicks per shown book", grid="x")
    return png_of(figure)


_POLICIES = "Clicks per shown book at explored positions; lines: 95 % interval, dotted: logged clicks"


def _draw_estimate(axes: "Axes", height: float, each: Estimate, colour: str, label: str | None) -> None:
    axes.plot([each.value], [height], marker="o", color=colour, linestyle="none", label=label)
    if np.isfinite(each.high - each.low):  # with one reader the interval is infinite
        axes.plot([each.low, each.high], [height, height], color=colour, linewidth=2)


def lifts_plot(report: ExperimentReport) -> bytes:
    """Draw the lift of each metric of each variant by day with the interval that holds on all days, as a PNG 1000 pixels wide.

    The report must have a result.
    """
    readings = report.result.readings if report.result else ()
    figure = new_figure(10, 1.2 + 1.8 * len(readings), w_pad=0.15, h_pad=0.1)
    every = figure.subplots(len(readings), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, each) in enumerate(zip(every, readings, strict=True)):
        _draw_lift(axes, report, each, COLOURS[number % len(COLOURS)])
    every[-1].set_xlabel("lift in % with the interval that holds on all days", color=MUTED)
    every[-1].set_xticks(range(len(report.days)), [f"{day:%d %b}" for day in report.days], rotation=90, color=INK)
    return png_of(figure)


def _draw_lift(axes: "Axes", report: ExperimentReport, each: Reading, colour: str) -> None:
    low, high, days = np.asarray(each.repeated.low), np.asarray(each.repeated.high), np.arange(len(report.days))
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(days[known], 100 * low[known], 100 * high[known], color=colour, alpha=0.2, linewidth=0)
    axes.plot(days[known], 100 * each.lift[known], color=colour, marker="o", linewidth=2)
    axes.axhline(0, color=MUTED, linestyle=":", linewidth=2)
    bound, what = _bound_of(each)
    axes.axhline(100 * bound, color=MUTED, linestyle="--", linewidth=1.5)
    if known.any():
        axes.set_ylim(_limits_of(low[known], high[known], bound))
    axes.set_title(
        f"{each.variant}: {each.metric.name}; dashed: {what} {bound:+.1%}", fontsize=11, color=INK, loc="left"
    )
    style_axis(axes, "", grid="y")


def _limits_of(low: DoubleArray, high: DoubleArray, bound: float) -> tuple[float, float]:
    """Limits of the axis by the interval of the last day: those of the first days are many times as wide."""
    width = high[-1] - low[-1]
    return 100 * (min(0.0, bound, low[-1]) - width), 100 * (max(0.0, bound, high[-1]) + width)


def _bound_of(each: Reading) -> tuple[float, str]:
    """The lift by which the metric is judged, and what it is."""
    sign = 1 if each.metric.higher_is_better else -1
    if each.metric.is_guardrail:
        return -sign * each.metric.margin, "the loss that is tolerated"
    return sign * each.metric.smallest_effect, "the smallest effect worth having"


def canary_plot(steps: pd.DataFrame) -> bytes:
    """Draw the share of the visitors that a canary had over time, as a PNG 1000 pixels wide.

    `steps`: rows of `ops.canary_steps` of one canary, oldest first; at least one.
    """
    figure = new_figure(10, 3.2, w_pad=0.15, h_pad=0.1)
    axes = figure.subplots()
    times, shares = steps["changed_at"].to_numpy(), steps["percent"].to_numpy()
    axes.step(times, shares, where="post", color=COLOURS[0], linewidth=2)
    axes.plot(times, shares, color=COLOURS[0], marker="o", linestyle="none")
    last = steps.iloc[-1]
    axes.set_title(f"{last['label']}: {last['status']}, {last['percent']} %", fontsize=11, color=INK, loc="left")
    axes.set_ylim(-3, 103)
    axes.tick_params(axis="x", labelrotation=30)
    style_axis(axes, "% of the visitors", grid="y")
    return png_of(figure)
