"""Samples as Prometheus reads them, such as from a file by the textfile collector of its node exporter."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from recsys_platform.monitoring.metrics import SERVICE, Metric, Sample


def prometheus_text(samples: Sequence[Sample], deployment: str) -> str:
    """All samples as text; each has the label `service` with the deployment."""
    registry, gauges = CollectorRegistry(), dict[Metric, Gauge]()
    for sample in samples:
        metric = sample.metric
        if metric not in gauges:
            gauges[metric] = Gauge(metric.name, metric.description, [SERVICE, *metric.labels], registry=registry)
        gauges[metric].labels(deployment, *sample.labels.values()).set(sample.value)
    return generate_latest(registry).decode()
