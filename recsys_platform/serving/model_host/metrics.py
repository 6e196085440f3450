"""Metrics of a model host in Prometheus' format. SageMaker asks no container for them, and counts requests by itself."""

import datetime as dt
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)


class HostMetrics:
    """Rate, errors and duration by alias, and the age of each model."""

    def __init__(self) -> None:
        """Metrics of one process."""
        of = self._registry = CollectorRegistry()
        self._requests = Counter("recsys_host_requests", "Requests.", ["alias", "status"], registry=of)
        self._seconds = Histogram(
            "recsys_host_request_seconds", "Seconds to the answer.", ["alias"], buckets=_BUCKETS, registry=of
        )
        self._ages = Gauge("recsys_host_model_age_seconds", "Age of the model of an alias.", ["alias"], registry=of)

    def count(self, alias: str, status: int, seconds: float) -> None:
        """Count a request. An alias that no model has is not a label: a client could make up any number of them."""
        name = "unknown" if status == 404 else alias
        self._requests.labels(name, str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def text(self, trained: Mapping[str, dt.datetime], now: dt.datetime) -> bytes:
        """All metrics as Prometheus reads them. `trained`: when the model of each alias was trained, like `now` in UTC."""
        self._ages.clear()
        for alias, at in trained.items():
            self._ages.labels(alias).set((now - at).total_seconds())
        return generate_latest(self._registry)


Trained = Callable[[], Mapping[str, dt.datetime]]
"""Gives when the model of each alias was trained, in UTC."""
