"""What is watched: every alarm with its metric, its limit, its owner and what to do, as plain data.

Metrics of the gateway are those of its Prometheus endpoint, which a collector beside it sends to CloudWatch. Metrics of the data
platform are lines in the log of the code server, of which CloudWatch makes metrics. Others are those that services of AWS give by
themselves. Money has no alarm here: budgets and cost anomalies of AWS publish to the same topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from infra.deployment import Deployment
from infra.names import Names
from recsys_platform.monitoring import metrics as of
from recsys_platform.monitoring.metrics import NAMESPACE as PLATFORM

GATEWAY = "Recsys/Gateway"
"""CloudWatch's namespace of the gateway's own metrics."""
DIMENSIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "recsys_requests_total": (("status",), ("route",)),
    "recsys_request_seconds": (("route",),),
    "recsys_answers_total": (("asked",), ("fallback",), ("source", "fallback")),
    "recsys_failures_total": ((), ("what",)),
    "recsys_events_total": (("verdict",),),
    "recsys_cache_total": (("result",),),
    "recsys_spool_total": (("what",),),
    "recsys_destination_total": (("what",),),
    "recsys_destination_waiting": (("what",),),
    "recsys_served_age_seconds": (("what",),),
}
"""Metrics that the collector sends, and by which labels; each combination of values is one metric to pay for."""
RUNBOOK = "https://github.com/{repository}/blob/main/docs/runbook.md#{anchor}"
MESSAGES = ("cost-over-budget", "cost-anomaly", "broken-rule")
"""What else publishes to the topic of alarms, and has a chapter in the runbook: budgets, cost anomalies, rules of AWS Config."""
Owner = Literal["data engineering", "data science", "platform"]
Comparison = Literal["above", "below"]
_DATA: Owner = "data engineering"
_DAY = 86_400


@dataclass(frozen=True)
class Alarm:
    """One alarm. `periods` of `minutes` each must all be beyond the limit; `missing` says what silence of the metric means.

    `{base}` and `{endpoint}` in the dimensions of a row below stand for names of the deployment.
    """

    name: str
    namespace: str
    metric: str
    limit: float
    owner: Owner
    says: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    statistic: str = "Sum"
    comparison: Comparison = "above"
    minutes: int = 5
    periods: int = 1
    missing: Literal["breaching", "notBreaching"] = "notBreaching"
    percent_of: str | None = None
    """Metric of the same namespace of which the first is a share, in percent."""
    whole: Mapping[str, str] = field(default_factory=dict)
    """Dimensions of that metric."""


# fmt: off
_ROWS = (
    Alarm("landing-stopped", "AWS/Firehose", "DeliveryToS3.Records", 1, _DATA, "no event has landed for an hour",
          {"DeliveryStreamName": "{base}-landing-segment"}, comparison="below", minutes=60, missing="breaching"),
    Alarm("landing-late", "AWS/Firehose", "DeliveryToS3.DataFreshness", 900, _DATA,
          "the oldest event that waits for the hub is older than 15 minutes",
          {"DeliveryStreamName": "{base}-landing-segment"}, "Maximum"),
    Alarm("stream-full", "AWS/Kinesis", "WriteProvisionedThroughputExceeded", 100, _DATA,
          "the stream refuses events; gateways keep them in their spool", {"StreamName": "{base}-events"}),
    Alarm("load-behind", "AWS/SQS", "ApproximateAgeOfOldestMessage", 3_600, _DATA,
          "an object waits for its load since an hour", {"QueueName": "{base}-landing"}, "Maximum", periods=2),
    Alarm("landing-dead-letters", "AWS/SQS", "ApproximateNumberOfMessagesVisible", 0, _DATA,
          "notifications were received a hundred times and never settled", {"QueueName": "{base}-landing-dead"}, "Maximum"),
    Alarm("platform-alerts", "AWS/SNS", "NumberOfMessagesPublished", 0, _DATA,
          "the platform reported a failed run or check, an asset that is too old or a silent tracker",
          {"TopicName": "{base}-alerts"}),

    Alarm("load-waiting", PLATFORM, of.LOAD_OLDEST.name, 3_600, _DATA,
          "an object that landed an hour ago is not loaded, or the sensor new_landing_objects has not looked for objects",
          statistic="Maximum", periods=3, missing="breaching"),
    Alarm("records-rejected", PLATFORM, of.REJECTED.name, 5, _DATA, "more than 5 % of the last hour's records are rejected",
          statistic="Maximum", periods=2, percent_of=of.LOADED.name),
    Alarm("tracker-silent", PLATFORM, of.SILENT_TRACKERS.name, 0, _DATA,
          "a tracker that has sent events before sends none", statistic="Maximum", periods=3),
    Alarm("check-failed", PLATFORM, of.FAILED_CHECKS.name, 0, _DATA,
          "the newest evaluation of a check failed with severity ERROR", {"severity": "error"}, "Maximum", periods=3),
    Alarm("freshness-broken", PLATFORM, of.OVERDUE_ASSETS.name, 0, _DATA,
          "an asset is older than its freshness policy allows", statistic="Maximum", periods=3),
    Alarm("runs-failing", PLATFORM, of.ENDED_RUNS.name, 3, _DATA, "more than three runs failed within an hour",
          {"status": "failure"}, "Maximum", periods=2),
    Alarm("runs-queued", PLATFORM, of.QUEUE_AGE.name, 3_600, "platform", "a run has been queued for an hour",
          statistic="Maximum", periods=3),

    Alarm("api-errors", "AWS/ApiGateway", "5XXError", 0.01, "platform", "more than 1 % of requests fail",
          {"ApiName": "{base}-api"}, "Average", periods=2),
    Alarm("api-latency", "AWS/ApiGateway", "Latency", 300, "platform", "one answer of a hundred takes above 300 ms",
          {"ApiName": "{base}-api"}, "p99", periods=3),
    Alarm("gateway-errors", GATEWAY, "recsys_requests_total", 10, "platform", "the gateway itself answers 500",
          {"status": "500"}),
    Alarm("gateway-fallback", GATEWAY, "recsys_answers_total", 10, "platform",
          "more than 10 % of the lists requested from a model came from a fallback",
          {"fallback": "yes"}, periods=2, percent_of="recsys_answers_total", whole={"asked": "model"}),
    Alarm("gateway-empty", GATEWAY, "recsys_answers_total", 0, "platform", "readers get empty lists: there is no snapshot",
          {"source": "none", "fallback": "yes"}),
    Alarm("gateway-failures", GATEWAY, "recsys_failures_total", 100, "platform", "recommendation sources fail"),
    Alarm("gateway-metrics-missing", GATEWAY, "recsys_spool_total", 1, "platform",
          "gateways send no metrics, so that none of their alarms can ring", {"what": "dropped"}, "SampleCount", "below",
          periods=3, missing="breaching"),
    Alarm("exposures-dropped", GATEWAY, "recsys_spool_total", 0, "platform",
          "events were lost: the disk of the spool is full", {"what": "dropped"}),
    Alarm("exposures-undelivered", GATEWAY, "recsys_destination_waiting", 900, "platform",
          "events wait for a destination since 15 minutes", {"what": "oldest_seconds"}, "Maximum", periods=2),
    Alarm("destination-dead", GATEWAY, "recsys_destination_total", 0, _DATA, "a destination refused events for good",
          {"what": "dead"}),
    Alarm("destination-dropped", GATEWAY, "recsys_destination_total", 0, _DATA,
          "events for a destination were lost: its queue is full", {"what": "dropped"}),
    Alarm("cache-full", "AWS/ElastiCache", "DatabaseMemoryUsagePercentage", 85, "platform",
          "the shared memory of gateways is nearly full", {"CacheClusterId": "{base}-shared-001"}, "Maximum", periods=3),

    Alarm("snapshot-old", GATEWAY, "recsys_served_age_seconds", 2 * _DAY, _DATA,
          "the serving snapshot is older than two days", {"what": "snapshot"}, "Minimum", minutes=60),
    Alarm("model-no-better", PLATFORM, of.GATE.name, 1, "data science",
          "by the gate's last verdict what is live is not better than popularity",
          statistic="Minimum", comparison="below", minutes=60),
    Alarm("model-host-errors", "AWS/SageMaker", "Invocation5XXErrors", 10, "platform", "model hosts fail",
          {"EndpointName": "{endpoint}", "VariantName": "champion"}),
    Alarm("model-host-slow", "AWS/SageMaker", "ModelLatency", 60_000, "platform",
          "a model host takes above 60 ms, the part of the budget that a live answer has",
          {"EndpointName": "{endpoint}", "VariantName": "champion"}, "p99", periods=3),

    Alarm("challenger-errors", "AWS/SageMaker", "Invocation5XXErrors", 10, "data science",
          "model hosts of the challenger fail", {"EndpointName": "{endpoint}", "VariantName": "challenger"}),
    Alarm("challenger-slow", "AWS/SageMaker", "ModelLatency", 60_000, "data science",
          "a model host of the challenger takes above 60 ms", {"EndpointName": "{endpoint}", "VariantName": "challenger"},
          "p99", periods=3),

    Alarm("daemon-silent", PLATFORM, of.SILENT_DAEMONS.name, 0, "platform",
          "a thread of Dagster's daemon writes no heartbeat, or none that would emit this metric ticks any more",
          statistic="Maximum", periods=3, missing="breaching"),
    Alarm("database-full", "AWS/RDS", "FreeStorageSpace", 5_000_000_000, "platform",
          "the database of Dagster has less than 5 GB left", {"DBInstanceIdentifier": "{base}-dagster"}, "Minimum", "below"),
    Alarm("database-busy", "AWS/RDS", "CPUUtilization", 90, "platform", "the database of Dagster is busy",
          {"DBInstanceIdentifier": "{base}-dagster"}, "Average", periods=3),
    Alarm("registry-database-full", "AWS/RDS", "FreeStorageSpace", 5_000_000_000, "platform",
          "the database of MLflow has less than 5 GB left", {"DBInstanceIdentifier": "{base}-mlflow"}, "Minimum", "below"),
    Alarm("registry-database-busy", "AWS/RDS", "CPUUtilization", 90, "platform", "the database of MLflow is busy",
          {"DBInstanceIdentifier": "{base}-mlflow"}, "Average", periods=3),
)
# fmt: on
WITHOUT_ALARM = {
    "recsys_request_seconds": "api-latency sees the same at API Gateway, with the network",
    "recsys_events_total": "what a client posts wrongly is the client's; the curve by verdict is on the dashboard",
    "recsys_cache_total": "a share of the cache costs time alone, which api-latency sees",
    "recsys_shadow_total": "the shadow answers nobody; `recsys experiments` and the page tell what it found",
    "recsys_shadow_overlap": "the shadow answers nobody",
    "recsys_shadow_correlation": "the shadow answers nobody",
    "recsys_shadow_seconds": "the shadow answers nobody",
    of.LOAD_WAITING.name: "many waiting objects are no fault while the oldest is young: load-waiting",
    of.LANDING_AGE.name: "each tracker has its own rhythm; tracker-silent counts those beyond RECSYS_ALERT_SILENCE_HOURS",
    of.OVERDUE.name: "it names the assets that freshness-broken counts",
    of.OPEN_RUNS.name: "a full queue is no fault while it moves: runs-queued",
    of.RUN_SECONDS.name: "Dagster itself ends a run after four hours (run_monitoring), and runs-failing counts it",
    of.HEARTBEAT_AGE.name: "it names the threads that daemon-silent counts",
}
"""Metrics of ours that no alarm watches, each with its reason."""
_PROCESSES = ("daemon", "code-server", "web-server", "mlflow", "gateway", "reports")


def alarms(deployment: Deployment) -> tuple[Alarm, ...]:
    """All alarms of a deployment."""
    rows = (*_ROWS, *_models_too_old(deployment.most_model_age_days), *map(_dead, _PROCESSES))
    return tuple(_named(row, Names(deployment)) for row in rows)


def metric_dimensions(alarm: Alarm, names: Names) -> dict[str, str]:
    """All dimensions of an alarm's metric: CloudWatch knows a metric by exactly these. Ours have the deployment as well."""
    ours = {of.SERVICE: names.base} if alarm.namespace in (GATEWAY, PLATFORM) else {}
    return {**ours, **alarm.dimensions}


def whole_of(alarm: Alarm) -> Alarm:
    """The metric of which an alarm's is a share, as an alarm: it has all else in common with it."""
    if alarm.percent_of is None:
        raise ValueError(f"{alarm.name} watches no share.")
    return replace(alarm, metric=alarm.percent_of, dimensions=alarm.whole, percent_of=None)


def unwatched_metrics() -> list[tuple[str, str, tuple[str, ...]]]:
    """Metrics that CloudWatch has and no alarm watches: namespace, name, labels."""
    gateway = [(GATEWAY, name, labels[-1]) for name, labels in DIMENSIONS.items()]
    platform = [(PLATFORM, metric.name, metric.labels) for metric in of.METRICS]
    return [each for each in (*gateway, *platform) if each[1] in WITHOUT_ALARM]


def runbook(deployment: Deployment, alarm: Alarm) -> str:
    """The address of what to do."""
    return RUNBOOK.format(repository=deployment.repository, anchor=alarm.name)


def _named(row: Alarm, names: Names) -> Alarm:
    dimensions = {name: text.format(base=names.base, endpoint=names.endpoint) for name, text in row.dimensions.items()}
    return replace(row, dimensions=dimensions)


def _models_too_old(days: int) -> tuple[Alarm, Alarm]:
    """Of the model in production, wherever it runs, and of what a gateway has loaded; hosts on SageMaker load none into a gateway."""
    registered = Alarm(
        "model-old",
        PLATFORM,
        of.MODEL_AGE.name,
        days * _DAY,
        "data science",
        f"the model in production is older than {days} days",
        statistic="Minimum",
        minutes=60,
    )
    served = Alarm(
        "served-model-old",
        GATEWAY,
        "recsys_served_age_seconds",
        days * _DAY,
        "data science",
        f"a gateway serves a model that is older than {days} days",
        {"what": "model"},
        "Maximum",
        minutes=60,
    )
    return registered, served


def _dead(process: str) -> Alarm:
    service = {"ClusterName": "{base}-platform", "ServiceName": f"{{base}}-{process}"}
    return Alarm(
        f"{process}-dead",
        "ECS/ContainerInsights",
        "RunningTaskCount",
        1,
        "platform",
        f"no task of {process} runs",
        service,
        "Minimum",
        "below",
        minutes=1,
        periods=5,
        missing="breaching",
    )
