"""What is watched: every alarm with its metric, its limit, its owner and what to do, as plain data.

Metrics of the gateway are those of its Prometheus endpoint, which a collector beside it sends to CloudWatch. Other metrics are those
that services of AWS give by themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.deployment import Deployment
from infra.names import Names

GATEWAY = "Recsys/Gateway"
"""CloudWatch's namespace of the gateway's own metrics."""
DIMENSIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "recsys_requests_total": (("status",), ("route",)),
    "recsys_request_seconds": (("route",),),
    "recsys_answers_total": ((), ("source",)),
    "recsys_failures_total": ((), ("what",)),
    "recsys_events_total": (("verdict",),),
    "recsys_cache_total": (("result",),),
    "recsys_spool": (("what",),),
    "recsys_destination": (("what",),),
    "recsys_destination_waiting": (("what",),),
    "recsys_served_age_seconds": (("what",),),
}
"""Metrics that the collector sends, and by which labels; each combination of values is one metric to pay for."""
RUNBOOK = "https://github.com/{repository}/blob/main/docs/runbook.md#{anchor}"
Owner = Literal["data engineering", "data science", "platform"]
Comparison = Literal["above", "below"]


@dataclass(frozen=True)
class Alarm:
    """One alarm. `periods` of `minutes` each must all be beyond the limit; `missing` says what silence of the metric means."""

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


def alarms(deployment: Deployment) -> tuple[Alarm, ...]:
    """All alarms of a deployment."""
    names = Names(deployment)
    return (*_data_alarms(names), *_gateway_alarms(names), *_model_alarms(names), *_process_alarms(names))


def runbook(deployment: Deployment, alarm: Alarm) -> str:
    """The address of what to do."""
    return RUNBOOK.format(repository=deployment.repository, anchor=alarm.name)


def _data_alarms(names: Names) -> tuple[Alarm, ...]:
    events, queue = {"DeliveryStreamName": names.of("landing-segment")}, names.of("landing")
    owner: Owner = "data engineering"
    return (
        Alarm(
            "landing-stopped",
            "AWS/Firehose",
            "DeliveryToS3.Records",
            1,
            owner,
            "no event has landed for an hour",
            events,
            comparison="below",
            minutes=60,
            missing="breaching",
        ),
        Alarm(
            "landing-late",
            "AWS/Firehose",
            "DeliveryToS3.DataFreshness",
            900,
            owner,
            "the oldest event that waits for the hub is older than 15 minutes",
            events,
            "Maximum",
        ),
        Alarm(
            "stream-full",
            "AWS/Kinesis",
            "WriteProvisionedThroughputExceeded",
            100,
            owner,
            "the stream refuses events; gateways keep them in their spool",
            {"StreamName": names.of("events")},
        ),
        Alarm(
            "load-behind",
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            3_600,
            owner,
            "an object waits for its load since an hour",
            {"QueueName": queue},
            "Maximum",
            periods=2,
        ),
        Alarm(
            "landing-dead-letters",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            0,
            owner,
            "notifications were received a hundred times and never settled",
            {"QueueName": f"{queue}-dead"},
            "Maximum",
        ),
        Alarm(
            "platform-alerts",
            "AWS/SNS",
            "NumberOfMessagesPublished",
            0,
            owner,
            "the platform reported a failed run or check, an asset that is too old or a silent tracker",
            {"TopicName": names.of("alerts")},
        ),
    )


def _gateway_alarms(names: Names) -> tuple[Alarm, ...]:
    api, owner = {"ApiName": names.of("api")}, "platform"
    return (
        Alarm(
            "api-errors",
            "AWS/ApiGateway",
            "5XXError",
            0.01,
            "platform",
            "more than 1 % of requests fail",
            api,
            "Average",
            periods=2,
        ),
        Alarm(
            "api-latency",
            "AWS/ApiGateway",
            "Latency",
            300,
            "platform",
            "one answer of a hundred takes above 300 ms",
            api,
            "p99",
            periods=3,
        ),
        Alarm(
            "gateway-errors",
            GATEWAY,
            "recsys_requests_total",
            10,
            "platform",
            "the gateway itself answers 500",
            {"status": "500"},
        ),
        Alarm(
            "gateway-fallback",
            GATEWAY,
            "recsys_answers_total",
            10,
            "platform",
            "more than a tenth of the lists are only popular books: models and published lists do not answer",
            {"source": "popular"},
            periods=3,
            percent_of="recsys_answers_total",
        ),
        Alarm(
            "gateway-empty",
            GATEWAY,
            "recsys_answers_total",
            0,
            "platform",
            "readers get empty lists: there is no snapshot",
            {"source": "none"},
        ),
        Alarm("gateway-failures", GATEWAY, "recsys_failures_total", 100, "platform", "rungs of the ladder fail"),
        Alarm(
            "exposures-dropped",
            GATEWAY,
            "recsys_spool",
            0,
            "platform",
            "events were lost: the disk of the spool is full",
            {"what": "dropped"},
            "Maximum",
        ),
        Alarm(
            "exposures-undelivered",
            GATEWAY,
            "recsys_destination_waiting",
            900,
            "platform",
            "events wait for a destination since 15 minutes",
            {"what": "oldest_seconds"},
            "Maximum",
            periods=2,
        ),
        Alarm(
            "destination-dead",
            GATEWAY,
            "recsys_destination",
            0,
            "data engineering",
            "a destination refused events for good",
            {"what": "dead"},
            "Maximum",
        ),
        Alarm(
            "cache-full",
            "AWS/ElastiCache",
            "DatabaseMemoryUsagePercentage",
            85,
            owner,
            "the shared memory of gateways is nearly full",
            {"CacheClusterId": f"{names.of('shared')}-001"},
            "Maximum",
            periods=3,
        ),
    )


def _model_alarms(names: Names) -> tuple[Alarm, ...]:
    old = names.deployment.most_model_age_days * 86_400
    host = {"EndpointName": names.endpoint, "VariantName": "champion"}
    return (
        Alarm(
            "model-old",
            GATEWAY,
            "recsys_served_age_seconds",
            old,
            "data science",
            f"the model in production is older than {names.deployment.most_model_age_days} days",
            {"what": "model"},
            "Minimum",
            minutes=60,
        ),
        Alarm(
            "snapshot-old",
            GATEWAY,
            "recsys_served_age_seconds",
            2 * 86_400,
            "data engineering",
            "the serving snapshot is older than two days",
            {"what": "snapshot"},
            "Minimum",
            minutes=60,
        ),
        Alarm("model-host-errors", "AWS/SageMaker", "Invocation5XXErrors", 10, "platform", "model hosts fail", host),
        Alarm(
            "model-host-slow",
            "AWS/SageMaker",
            "ModelLatency",
            60_000,
            "platform",
            "a model host takes above 60 ms, the part of the budget that a live answer has",
            host,
            "p99",
            periods=3,
        ),
    )


def _process_alarms(names: Names) -> tuple[Alarm, ...]:
    database = {"DBInstanceIdentifier": names.of("dagster")}
    return (
        *(_dead(names, process) for process in ("daemon", "code-server", "web-server", "mlflow", "gateway")),
        Alarm(
            "database-full",
            "AWS/RDS",
            "FreeStorageSpace",
            5_000_000_000,
            "platform",
            "the database of Dagster has less than 5 GB left",
            database,
            "Minimum",
            "below",
        ),
        Alarm(
            "database-busy",
            "AWS/RDS",
            "CPUUtilization",
            90,
            "platform",
            "the database of Dagster is busy",
            database,
            "Average",
            periods=3,
        ),
    )


def _dead(names: Names, process: str) -> Alarm:
    service = {"ClusterName": names.of("platform"), "ServiceName": names.of(process)}
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
