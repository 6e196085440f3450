"""Samples by OpenTelemetry's protocol; its own variables (`OTEL_…`) set the endpoint, headers and attributes."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from recsys_platform.common.errors import RecsysError
from recsys_platform.monitoring.metrics import METRICS, SERVICE, Metric, Sample

_UNITS = {"Count": "1", "Seconds": "s", "None": "1"}
_TIMEOUT_SECONDS = 10


class OtlpError(RecsysError):
    """A collector did not take metrics."""


class OtlpEmitter:
    """Sends samples to a collector, and waits ten seconds at most until it has them."""

    def __init__(self, deployment: str) -> None:
        """`deployment`: the label `service` of each sample, and the service's name unless OTEL_SERVICE_NAME says another."""
        self.deployment = deployment
        self._samples: Sequence[Sample] = ()
        # Not the periodic reader: it sends in a thread, and nobody learns whether that worked.
        self._reader, self._exporter = InMemoryMetricReader(), OTLPMetricExporter(timeout=_TIMEOUT_SECONDS)
        resource = Resource({"service.name": deployment}).merge(OTELResourceDetector().detect())
        meter = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False).get_meter("recsys_platform")
        for metric in METRICS:
            # Observed gauges: others would send the last value of an asset that is fresh again for ever.
            meter.create_observable_gauge(
                metric.name, [self._observer(metric)], _UNITS[metric.unit], metric.description
            )

    def emit(self, samples: Sequence[Sample], now: dt.datetime) -> None:
        """Send samples, which OpenTelemetry stamps with its own time. Raises OtlpError if the collector does not take them."""
        self._samples = samples
        data = self._reader.get_metrics_data()
        if data is not None and self._exporter.export(data) is not MetricExportResult.SUCCESS:
            raise OtlpError("The collector that OTEL_EXPORTER_OTLP_ENDPOINT names did not take the metrics.")

    def _observer(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            found = [sample for sample in self._samples if sample.metric == metric]
            return [Observation(each.value, {SERVICE: self.deployment, **each.labels}) for each in found]

        return observe
