"""CloudWatch's embedded metric format: a line of JSON in a log that CloudWatch Logs makes metrics of, without a collector.

The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from itertools import groupby

from recsys_platform.monitoring.metrics import NAMESPACE, SERVICE, Sample

_MOST_METRICS = 100
"""The format's limit for one line."""


def emf_lines(samples: Sequence[Sample], deployment: str, now: dt.datetime) -> list[str]:
    """Lines for samples: one for all with the same labels. `now`: UTC with its time zone."""
    ordered = sorted(samples, key=lambda sample: sorted(sample.labels.items()))
    groups = [(labels, list(group)) for labels, group in groupby(ordered, key=lambda sample: dict(sample.labels))]
    return [
        json.dumps(_document(group[first : first + _MOST_METRICS], {SERVICE: deployment, **labels}, now))
        for labels, group in groups
        for first in range(0, len(group), _MOST_METRICS)
    ]


def _document(samples: Sequence[Sample], labels: Mapping[str, str], now: dt.datetime) -> dict[str, object]:
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(labels)],
        "Metrics": [{"Name": sample.metric.name, "Unit": sample.metric.unit} for sample in samples],
    }
    values = {sample.metric.name: sample.value for sample in samples}
    return {
        "_aws": {"Timestamp": int(now.timestamp() * 1_000), "CloudWatchMetrics": [directive]},
        **labels,
        **values,
    }
