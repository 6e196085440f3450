"""What CloudWatch makes of lines in the embedded metric format and of a collector's scrapes, and when it raises an alarm."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client.parser import text_string_to_metric_families

from infra.alarms import DIMENSIONS, GATEWAY, Alarm, metric_dimensions, whole_of
from infra.deployment import Deployment
from infra.names import Names

Key = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, metric, all of its dimensions: CloudWatch knows a metric by exactly these."""
Series = dict[Key, list[tuple[float, float]]]
"""A metric's values, each with its time in seconds."""
_STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len}


def series_of_lines(lines: Iterable[str]) -> Series:
    """The series of a log; what is not in the format is no metric. Raises AssertionError for a line that CloudWatch refuses."""
    found: Series = defaultdict(list)
    for line in lines:
        document = json.loads(line) if line.startswith("{") else {}
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert 1 <= len(directive["Metrics"]) <= 100
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                assert type(value) in (int, float), value
                assert math.isfinite(value)
                assert metric["Unit"] in {"Count", "Seconds", "None"}
                for names in directive["Dimensions"]:
                    assert all(isinstance(document[name], str) and document[name] for name in names)
                    key = (directive["Namespace"], metric["Name"], frozenset((name, document[name]) for name in names))
                    found[key].append((document["_aws"]["Timestamp"] / 1_000, value))
    return found


def series_of_scrapes(scrapes: Sequence[tuple[float, str]], service: str) -> Series:
    """The series that the collector beside a gateway sends: counters by what they rose, by the dimensions that are declared."""
    found, before = Series(), dict[object, float]()
    for at, text in scrapes:
        for family in text_string_to_metric_families(text):
            for sample in (each for each in family.samples if each.name in DIMENSIONS):
                identity = (sample.name, frozenset(sample.labels.items()))
                rise = sample.value - before.get(identity, 0.0)
                before[identity] = sample.value
                for names in DIMENSIONS[sample.name]:
                    labels = {"service": service} | {name: sample.labels[name] for name in names}
                    key = (GATEWAY, sample.name, frozenset(labels.items()))
                    found.setdefault(key, []).append((at, rise if family.type == "counter" else sample.value))
    return found


def is_raised(alarm: Alarm, series: Series, now: float) -> bool:
    """Whether all of an alarm's periods that have ended by now (in seconds) are beyond its limit."""
    length, end = alarm.minutes * 60, now - now % (alarm.minutes * 60)
    return all(_is_beyond(alarm, series, end - number * length, length) for number in range(1, alarm.periods + 1))


def _is_beyond(alarm: Alarm, series: Series, start: float, length: float) -> bool:
    value = _value(alarm, series, start, length)
    if value is None:
        return alarm.missing == "breaching"
    return value > alarm.limit if alarm.comparison == "above" else value < alarm.limit


def _value(alarm: Alarm, series: Series, start: float, length: float) -> float | None:
    key = (alarm.namespace, alarm.metric, frozenset(metric_dimensions(alarm, Names(Deployment())).items()))
    values = [value for at, value in series.get(key, ()) if start <= at < start + length]
    if not values:
        return None
    part = float(_STATISTICS[alarm.statistic](values))
    if alarm.percent_of is None:
        return part
    whole = _value(whole_of(alarm), series, start, length)
    return 100 * part / whole if whole else None
