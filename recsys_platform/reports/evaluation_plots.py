"""Plots of the evaluation.

Belongs here: figures as PNG bytes, drawn with matplotlib's object API. Does not: the metrics (recommender/evaluation).
"""

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from recsys_platform.recommender.evaluation.evaluate import ALL, SEGMENTS, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#222222", "#6b6b6b", "#e3e3e3"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#44AA99")
"""The colour-blind safe palette of Okabe & Ito and two colours of Tol's; the baseline is grey."""


def evaluation_plot(result: Evaluation, *, baseline: str = "popularity") -> bytes:
    """Draw NDCG of each model, overall and by length of history, as a PNG of 1000 x 460 pixels."""
    figure = new_figure(10, 4.6, w_pad=0.15, h_pad=0.1, wspace=0.06, rect=(0, 0, 1, 0.86))
    figure.text(0.014, 0.955, headline(result, baseline), fontsize=15, fontweight="bold", color=INK, va="center")
    figure.text(0.014, 0.89, _plot_subtitle(result), fontsize=10.5, color=MUTED, va="center")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    ndcg = result.table[result.table["metric"] == "ndcg"]
    colours = _model_colours(ndcg["model"].unique().tolist(), baseline)
    _draw_overall(left, ndcg[ndcg["segment"] == ALL], colours, result.k)
    _draw_by_history(right, ndcg[ndcg["segment"] != ALL], colours, result.task.verb)
    return png_of(figure)


def narrow_plot(result: Evaluation, *, baseline: str = "popularity") -> bytes:
    """Draw the same for a phone: one chart below the other, 400 pixels wide at double resolution."""
    figure = new_figure(4, 7.4, dpi=200, w_pad=0.1, h_pad=0.15, hspace=0.08)
    upper, lower = figure.subplots(2, 1, height_ratios=(1, 1.2))
    ndcg = result.table[result.table["metric"] == "ndcg"]
    colours = _model_colours(ndcg["model"].unique().tolist(), baseline)
    _draw_overall(upper, ndcg[ndcg["segment"] == ALL], colours, result.k)
    _draw_by_history(lower, ndcg[ndcg["segment"] != ALL], colours, result.task.verb, room=1.96)
    return png_of(figure)


def differences_plot(rows: pd.DataFrame, baseline: str, metric: str) -> bytes:
    """Draw paired differences of models to a baseline with their intervals, as a PNG 1000 pixels wide.

    `rows`: difference, low, high, users, by model, best first. `metric`: its name, for people.
    """
    figure = new_figure(10, 1.5 + 0.42 * len(rows), w_pad=0.15, h_pad=0.1, rect=(0, 0, 1, 0.9))
    readers = int(rows["users"].max())
    title = f"{metric} beside {baseline}, on the same {readers:,} readers"
    figure.text(0.014, 0.95, title, fontsize=15, fontweight="bold", color=INK, va="center")
    axes = figure.subplots()
    for place, (_, row) in enumerate(rows.iloc[::-1].iterrows()):
        colour = COLOURS[2] if row["low"] > 0 else COLOURS[1] if row["high"] < 0 else MUTED
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2.5)
        axes.plot([row["difference"]], [place], marker="o", color=colour)
    axes.axvline(0, color=MUTED, linestyle=":", linewidth=2)
    axes.set_yticks(range(len(rows)), [str(name) for name in rows.index[::-1]], fontsize=11, color=INK)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    label = "difference with its 95 % interval; green: significantly better, orange: significantly worse, grey: may be chance"
    style_axis(axes, label, grid="x")
    return png_of(figure)


def new_figure(width: float, height: float, *, dpi: int = 100, **layout: Any) -> "Figure":
    """Return an empty white figure of this size in inches; `layout` is passed to matplotlib's constrained layout."""
    # Imported here: matplotlib takes half a second, and most commands draw nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=ConstrainedLayoutEngine(**layout))
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: "Figure") -> bytes:
    """Return a figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def headline(result: Evaluation, baseline: str) -> str:
    """Return the result in one sentence: by how much the best model beats the baseline, or that none does."""
    rows: list[Any] = list(result.ratios[result.ratios["segment"] == ALL].itertuples())
    if not rows:
        return f"How well {baseline} ranks the held-out books"
    best = max(rows, key=lambda row: np.nan_to_num(row.value, posinf=np.inf))
    if not best.low > 1:
        return f"No model is clearly better than {baseline}"
    if not np.isfinite(best.value):
        return f"{best.model} finds held-out books, {baseline} finds none"
    return f"{best.model} reaches {_ratio_text(best.value)} the NDCG of {baseline}"


def _ratio_text(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _plot_subtitle(result: Evaluation) -> str:
    asked = f"NDCG@{result.k} on what {result.tested:,} readers with history {result.task.verb} next"
    return f"{asked}, of all books not met before; lines show the 95 % interval"


def _model_colours(models: list[str], baseline: str) -> dict[str, str]:
    others = [model for model in models if model != baseline]
    return {baseline: MUTED} | {model: COLOURS[number % len(COLOURS)] for number, model in enumerate(others)}


def _draw_overall(axes: "Axes", rows: pd.DataFrame, colours: dict[str, str], k: int) -> None:
    rows = rows.sort_values("value").reset_index(drop=True)
    top = float(rows["high"].max()) or 1.0
    bars: list[Any] = list(rows.itertuples())
    for position, row in enumerate(bars):
        colour = colours[str(row.model)]
        axes.barh(position, row.value, height=0.5, color=colour)
        axes.plot([row.low, row.high], [position, position], color=INK, linewidth=1.6)
        axes.text(row.high + top * 0.03, position, _short_number(row.value), va="center", color=INK, fontsize=11)
    axes.set_yticks(range(len(rows)), rows["model"].tolist(), fontsize=11, color=INK)
    axes.set_xlim(0, top * 1.22)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_title("Readers with history", loc="left", fontsize=11, color=INK)
    style_axis(axes, f"NDCG@{k}", grid="x")


def _draw_by_history(
    axes: "Axes", rows: pd.DataFrame, colours: dict[str, str], verb: str, *, room: float = 0.96
) -> None:
    """Draw NDCG by segment. `room`: for the model names, right of the last segment."""
    segments = [name for name in SEGMENTS if name in set(rows["segment"])]
    ends: list[tuple[float, str]] = []
    for number, (model, some) in enumerate(rows.groupby("model", sort=False)):
        ordered = some.set_index("segment").loc[segments]
        places = np.arange(len(segments)) + 0.04 * (number - (len(colours) - 1) / 2)  # so that intervals do not overlap
        spread = np.abs(ordered[["low", "high"]].to_numpy().T - ordered["value"].to_numpy())
        axes.errorbar(
            places, ordered["value"], yerr=spread, color=colours[str(model)], marker="o", linewidth=2, capsize=0
        )
        ends.append((float(ordered["value"].iloc[-1]), str(model)))
    top = float(rows["high"].max()) or 1.0
    ends.sort()
    for height, (_, model) in zip(_spread_labels([end for end, _ in ends], top * 0.07), ends, strict=True):
        axes.text(
            len(segments) - 0.74, height, model, va="center", color=colours[model], fontsize=11, fontweight="bold"
        )
    sizes = rows.drop_duplicates("segment").set_index("segment")["users"]
    axes.set_xticks(range(len(segments)), [f"{name}\n{sizes[name]:,} users" for name in segments], color=INK)
    axes.set_xlim(-0.3, len(segments) - 1 + room)
    axes.set_ylim(0, top * 1.08)
    axes.set_title(f"By books {verb} before", loc="left", fontsize=11, color=INK)
    style_axis(axes, f"books {verb} before the test", grid="y")


def _spread_labels(heights: list[float], gap: float) -> list[float]:
    """Move ascending heights up where needed, so that labels are at least `gap` apart and clear of the axis."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, (placed[-1] if placed else -gap / 2) + gap))
    return placed


def style_axis(axes: "Axes", label: str, *, grid: Literal["x", "y"]) -> None:
    """Label the axes, without ticks or frame, with a light grid along `grid`."""
    axes.set_xlabel(label, color=MUTED)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_axisbelow(True)
    (axes.xaxis if grid == "x" else axes.yaxis).grid(True, color=GRID)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == ("left" if grid == "x" else "bottom"))
        axes.spines[side].set_color("#b5b5b5")


def _short_number(value: float) -> str:
    return f"{value:.3f}" if value >= 0.01 else f"{value:.4f}"
