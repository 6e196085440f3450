"""Plot of the off-policy evaluation, in the style of reports/evaluation_plots.py."""

from typing import TYPE_CHECKING

import numpy as np

from recsys_platform.experiments.off_policy import Estimate
from recsys_platform.experiments.published_policies import PolicyReport
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
