"""Charts as coordinates: what the SVG macros of templates/charts.html draw.

Belongs here: scales, paths, ticks and the text that stands for a chart. Does not: colours and dashes (the page's style sheet).
"""

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

WIDTH, HEIGHT = 360.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 8.0, 22.0
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_EDGE = 120.0, 34.0, 5.0
_MANY_DAYS = 300
"""Days from which the axis names months and years instead of days."""

Style = Literal["a", "b", "c", "d", "quiet"]
"""The colour and dashes of a line, as the style sheet has them."""
STYLES: tuple[Style, ...] = ("a", "b", "c", "d")
Number = float | None
NumberText = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """A line to draw: a value for each time, None where there is none; `low`, `high`: its interval, if it has one."""

    name: str
    values: Sequence[Number]
    style: Style
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()


@dataclass(frozen=True)
class Rule:
    """A horizontal line with a meaning, such as no effect or a target."""

    name: str
    value: float


@dataclass(frozen=True)
class Tick:
    """A label of an axis. `anchor`: SVG's text-anchor."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Line:
    """A drawn line. `band`: the outline of its interval, empty without one. `end`: its last point."""

    name: str
    style: Style
    path: str
    band: str
    end: tuple[float, float] | None


@dataclass(frozen=True)
class Bar:
    """A drawn bar, from the bottom of the chart up."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """A drawn chart. `description`: the same in words, for who does not see it. `lines`: the first on top. `rules`: height, name."""

    title: str
    description: str
    y_ticks: Sequence[Tick]
    x_ticks: Sequence[Tick]
    lines: Sequence[Line] = ()
    rules: Sequence[tuple[float, str]] = ()
    bars: Sequence[Bar] = ()
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True)
class Sparkline:
    """A drawn line without axes. `rules`: heights of the target. `is_end_open`: whether the last point is provisional."""

    description: str
    path: str
    end: tuple[float, float]
    is_end_open: bool
    rules: Sequence[float]
    width: float = _SPARK_WIDTH
    height: float = _SPARK_HEIGHT


@dataclass(frozen=True)
class _Scale:
    """From times and values to coordinates; a value beyond the limits is drawn at the limit."""

    times: Sequence[dt.date]
    low: float
    high: float

    def x(self, number: int) -> float:
        """The place of a time, by its number."""
        span = (self.times[-1] - self.times[0]).total_seconds()
        share = (self.times[number] - self.times[0]).total_seconds() / span if span else 0.5
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """The height of a value."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def line_chart(
    title: str,
    times: Sequence[dt.date],
    series: Sequence[Series],
    *,
    text: NumberText,
    rules: Sequence[Rule] = (),
    limits: tuple[float, float] | None = None,
) -> Chart:
    """Draw lines over time. `text`: how a value is written. `limits`: of the values shown, by default all of them and 0."""
    series = [_in_floats(each) for each in series]
    low, high = limits or _limits_from_zero(series, rules)
    scale = _Scale(times, low, high)
    return Chart(
        title,
        _description(title, times, series, rules, text),
        [Tick(scale.y(value), text(value), "end") for value in nice_ticks(low, high)],
        _time_ticks(scale),
        [_line(each, scale) for each in series],
        [(scale.y(each.value), each.name) for each in rules if low <= each.value <= high],
    )


def bar_chart(title: str, times: Sequence[dt.date], values: Sequence[float], *, text: NumberText) -> Chart:
    """Draw a bar for each day. `times`: ascending; a day that is missing has no bar."""
    highest = max(values, default=0.0) or 1.0
    scale = _Scale(times, 0.0, highest)
    days = (times[-1] - times[0]).days + 1
    width = min(24.0, max(1.0, 0.8 * (WIDTH - _LEFT - _RIGHT) / days))
    bars = [
        Bar(_inside(scale.x(number), width) - width / 2, scale.y(value), width, HEIGHT - _BOTTOM - scale.y(value))
        for number, value in enumerate(values)
    ]
    ticks = [Tick(scale.y(value), text(value), "end") for value in nice_ticks(0.0, highest)]
    shown = [Series("all", values, "a")]
    return Chart(title, _description(title, times, shown, (), text), ticks, _time_ticks(scale), bars=bars)


def sparkline(
    times: Sequence[dt.date],
    values: Sequence[Number],
    *,
    text: NumberText,
    targets: Sequence[float] = (),
    is_end_open: bool = False,
) -> Sparkline | None:
    """Draw the values of some months with their targets; None without any value."""
    known = [(number, value) for number, value in enumerate(values) if value is not None]
    if not known:
        return None
    seen = [value for _, value in known] + list(targets)
    low, spread = min(seen), (max(seen) - min(seen)) or 1.0

    def point(number: int, value: float) -> tuple[float, float]:
        share = number / (len(values) - 1) if len(values) > 1 else 0.5
        height = (value - low) / spread if max(seen) > min(seen) else 0.5
        room = _SPARK_HEIGHT - 2 * _SPARK_EDGE
        return _SPARK_EDGE + share * (_SPARK_WIDTH - 2 * _SPARK_EDGE), _SPARK_HEIGHT - _SPARK_EDGE - height * room

    return Sparkline(
        f"{times[known[0][0]]:%Y-%m} {text(known[0][1])} to {times[known[-1][0]]:%Y-%m} {text(known[-1][1])}",
        _path([point(number, value) if value is not None else None for number, value in enumerate(values)]),
        point(*known[-1]),
        is_end_open and known[-1][0] == len(values) - 1,
        [point(0, target)[1] for target in targets],
    )


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers between two limits.

    >>> nice_ticks(0, 0.23)
    [0.0, 0.05, 0.1, 0.15, 0.2]
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.6g}") for number in range(first, last + 1)]


def _in_floats(series: Series) -> Series:
    """The same series; a warehouse may give decimals, and NaN for what is not known."""
    values, low, high = (list(map(_known_float, each)) for each in (series.values, series.low, series.high))
    return Series(series.name, values, series.style, low, high)


def _known_float(value: Number) -> Number:
    return None if value is None or math.isnan(value) else float(value)


def _limits_from_zero(series: Sequence[Series], rules: Sequence[Rule]) -> tuple[float, float]:
    known = [value for each in series for value in (*each.values, *each.low, *each.high) if value is not None]
    shown = [0.0, *known, *(each.value for each in rules)]
    low, high = min(shown) * 1.05, max(shown) * 1.05
    return low, high if high > low else 1.0


def _line(series: Series, scale: _Scale) -> Line:
    points = [
        None if value is None else (scale.x(number), scale.y(value)) for number, value in enumerate(series.values)
    ]
    known = [point for point in points if point]
    return Line(series.name, series.style, _path(points), _band(series, scale), known[-1] if known else None)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Straight lines between neighbours; a point without neighbours is a line of no length, which round ends make a dot."""
    parts = []
    for is_gap, group in groupby(points, key=lambda point: point is None):
        run = [f"{point[0]:.1f} {point[1]:.1f}" for point in group if point]
        if not is_gap:
            parts.append("M" + "L".join(run) if len(run) > 1 else f"M{run[0]}h0")
    return "".join(parts)


def _band(series: Series, scale: _Scale) -> str:
    """The outline of the interval where it is known, low ends forward and high ends back."""
    known = [
        (scale.x(number), scale.y(low), scale.y(high))
        for number, (low, high) in enumerate(zip(series.low, series.high, strict=True))
        if low is not None and high is not None
    ]
    if len(known) == 1:  # one look: a bar as wide as a line
        x, low_y, high_y = known[0]
        known = [(x - 2, low_y, high_y), (x + 2, low_y, high_y)]
    outline = [(x, low_y) for x, low_y, _ in known] + [(x, high_y) for x, _, high_y in reversed(known)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in outline) + "Z" if outline else ""


def _time_ticks(scale: _Scale) -> list[Tick]:
    """The first and the last time, and one between where it is clear of both."""
    last, middle = len(scale.times) - 1, (WIDTH + _LEFT - _RIGHT) / 2
    nearest = min(range(last + 1), key=lambda number: abs(scale.x(number) - middle))
    between = {nearest} if abs(scale.x(nearest) - middle) < WIDTH / 5 else set()
    if last == 0:
        return [Tick(middle, _time_text(scale.times, 0))]
    anchors = {0: "start", last: "end"}
    return [
        Tick(scale.x(number), _time_text(scale.times, number), anchors.get(number, "middle"))
        for number in sorted({0, last} | between)
    ]


def _time_text(times: Sequence[dt.date], number: int) -> str:
    days = (times[-1] - times[0]).days
    if days < 2 and isinstance(times[0], dt.datetime):
        return f"{times[number]:%-d %b %H:%M}"
    return f"{times[number]:%b %Y}" if days > _MANY_DAYS else f"{times[number]:%-d %b}"


def _inside(x: float, width: float) -> float:
    """The middle of a bar that is as near to `x` as the chart allows."""
    return min(max(x, _LEFT + width / 2), WIDTH - _RIGHT - width / 2)


def _description(
    title: str, times: Sequence[dt.date], series: Sequence[Series], rules: Sequence[Rule], text: NumberText
) -> str:
    said = f"{title}, {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}."
    for each in series:
        known = [value for value in each.values if value is not None]
        name = f" {each.name}:" if len(series) > 1 else ""
        said += f"{name} first {text(known[0])}, last {text(known[-1])}." if known else f"{name} no value."
    return said + "".join(f" Line at {text(each.value)}: {each.name}." for each in rules)
