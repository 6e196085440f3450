"""The metrics of the data platform: names, units, labels.

Plain data without imports of ours, since `infra/` builds alarms and the dashboard from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

NAMESPACE = "Recsys/Platform"
"""CloudWatch's namespace of these metrics."""
SERVICE = "service"
"""The label of every metric that names the deployment: RECSYS_DEPLOYMENT."""
WINDOW_SECONDS = 3_600
"""What happened is counted over the last hour, so that a value needs no memory and a lost one does no harm."""
SILENT_AFTER_SECONDS = 900
"""A daemon is silent after so long: each writes a heartbeat every half minute, between ticks that may take minutes."""


@dataclass(frozen=True)
class Metric:
    """A metric. `labels`: those that each of its values has, besides SERVICE."""

    name: str
    unit: Literal["Count", "Seconds", "None"]
    description: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A value of a metric, now."""

    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse labels that the metric does not have: an alarm on it would never see the value."""
        if tuple(self.labels) != self.metric.labels:
            raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}, not {tuple(self.labels)}.")


LOAD_WAITING = Metric("recsys_load_waiting_objects", "Count", "Landing objects that are not loaded yet.")
LOAD_OLDEST = Metric(
    "recsys_load_oldest_seconds",
    "Seconds",
    "Time since the landing hour of the oldest waiting object ended; of those that landed in the last two days.",
)
LOADED = Metric("recsys_loaded_records", "Count", "Records of loads in the last hour, accepted or rejected.")
REJECTED = Metric("recsys_rejected_records", "Count", "Rejected records of loads in the last hour.")
LANDING_AGE = Metric(
    "recsys_landing_age_seconds", "Seconds", "Time since the newest landing hour of a tracker ended.", ("source",)
)
SILENT_TRACKERS = Metric(
    "recsys_silent_trackers", "Count", "Trackers without a landing object for RECSYS_ALERT_SILENCE_HOURS."
)
FAILED_CHECKS = Metric("recsys_failed_checks", "Count", "Checks whose newest evaluation failed.", ("severity",))
OVERDUE_ASSETS = Metric("recsys_overdue_assets", "Count", "Assets that are older than their freshness policy allows.")
OVERDUE = Metric(
    "recsys_asset_overdue_seconds", "Seconds", "By how much an asset is too old; only of those that are.", ("asset",)
)
OPEN_RUNS = Metric("recsys_open_runs", "Count", "Runs that are queued or started.", ("status",))
QUEUE_AGE = Metric("recsys_run_queue_seconds", "Seconds", "Age of the oldest queued run.")
ENDED_RUNS = Metric("recsys_ended_runs", "Count", "Runs that ended in the last hour.", ("status",))
RUN_SECONDS = Metric("recsys_run_seconds", "Seconds", "Duration of the longest run that ended in the last hour.")
SILENT_DAEMONS = Metric(
    "recsys_silent_daemons", "Count", "Threads of Dagster's daemon without a heartbeat for a quarter of an hour."
)
HEARTBEAT_AGE = Metric(
    "recsys_heartbeat_age_seconds", "Seconds", "Time since the last heartbeat of a thread of the daemon.", ("daemon",)
)
MODEL_AGE = Metric("recsys_model_age_seconds", "Seconds", "Age of the model version in production.")
GATE = Metric(
    "recsys_gate_beats_baseline", "None", "1 if what is live beats popularity by the gate's last verdict, or 0."
)

METRICS = (
    LOAD_WAITING,
    LOAD_OLDEST,
    LOADED,
    REJECTED,
    LANDING_AGE,
    SILENT_TRACKERS,
    FAILED_CHECKS,
    OVERDUE_ASSETS,
    OVERDUE,
    OPEN_RUNS,
    QUEUE_AGE,
    ENDED_RUNS,
    RUN_SECONDS,
    SILENT_DAEMONS,
    HEARTBEAT_AGE,
    MODEL_AGE,
    GATE,
)
