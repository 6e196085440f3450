"""The canary as an external asset, and the sensor that steps it.

Belongs here: ticks, what the UI shows, the alert. Does not: the steps (serving/rollout/).
"""

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import pandas as pd

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.table_metadata import markdown
from recsys_platform.experiments.plots import canary_plot
from recsys_platform.notifications.alerts import canary_alert
from recsys_platform.notifications.channels import AlertError, channels_of, notify
from recsys_platform.serving.rollout.controller import (
    Rollout,
    Step,
    landed_counts_of,
    rollout_of,
    trouble_of,
)
from recsys_platform.serving.rollout.figures import group_rows
from recsys_platform.serving.rollout.observing import LandedCounts
from recsys_platform.serving.rollout.record import CanaryRecord

CANARY_KEY = dg.AssetKey(["serving", "canary"])

canary = dg.AssetSpec(
    CANARY_KEY,
    deps=[dg.AssetKey(["serving", "snapshot"]), dg.AssetKey(["models", "aliases"])],
    description=(
        "The canary: a challenger that a share of the visitors gets. Recorded by the sensor `canary` with each step, also "
        "with those of a person: share, reason, and what both groups did."
    ),
    group_name="experiments",
    kinds={"python"},
    owners=["team:data-science"],
)


@dataclass
class _Cursor:
    """The step that was recorded last, and the canary with the trouble that was reported last; empty if it has none now."""

    recorded: str = ""
    reported: str = ""

    @classmethod
    def parse(cls, text: str | None) -> "_Cursor":
        return cls(**json.loads(text)) if text else cls()

    def dump(self) -> str:
        return json.dumps(vars(self))


def canary_sensor(
    status: dg.DefaultSensorStatus, settings: Settings, clock: Callable[[], dt.datetime]
) -> dg.SensorDefinition:
    """A sensor that steps the canary every minute."""
    counts: list[LandedCounts] = []

    @dg.sensor(
        name="canary",
        minimum_interval_seconds=60,
        default_status=status,
        description="Steps the canary: more visitors while its guardrails hold, none when one is broken; then it sends an alert.",
    )
    def step_canary(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        cursor = _Cursor.parse(context.cursor)
        try:
            if not counts:
                counts.append(landed_counts_of(settings))  # it remembers what it read
            rollout = rollout_of(settings, counts[0])
            history = replace(rollout.history, may_write=lambda: not _runs_in_progress(context.instance))
            done = replace(rollout, history=history).step(clock())
        except RecsysError as error:
            return dg.SkipReason(str(error))
        if done.after is None:
            return dg.SkipReason("There is no canary.")
        not_sent = _report_trouble(done.after, settings, cursor)
        events = [_recorded(rollout, done, clock())] if done.after.step_id != cursor.recorded else []
        cursor.recorded = done.after.step_id
        reason = f"{done.after.label}, {done.after.percent} %: {done.after.news}{not_sent}"
        return dg.SensorResult(skip_reason=reason, asset_events=events, cursor=cursor.dump())

    return step_canary


def _runs_in_progress(instance: dg.DagsterInstance) -> int:
    """Runs that may read the warehouse now: a reader of DuckDB fails while another process writes."""
    return instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]))


def _report_trouble(record: CanaryRecord, settings: Settings, cursor: _Cursor) -> str:
    """Send an alert if a person is to look at the canary, once while that lasts; why none was sent, as a further sentence."""
    trouble = trouble_of(record)
    if trouble is None:
        cursor.reported = ""
        return ""
    reported = f"{record.experiment} {record.started_at.isoformat()} {trouble.name}"
    if reported == cursor.reported:
        return ""
    channels = channels_of(settings)
    try:
        notify(canary_alert(trouble, record.label, record.news, settings), channels)
    except AlertError as error:
        if error.was_sent:
            cursor.reported = reported
        return f" {error}"  # if no channel took it, the next tick tries again
    cursor.reported = reported
    return "" if channels else " No alert was sent: neither RECSYS_ALERT_TOPIC nor RECSYS_ALERT_WEBHOOK is set."


def _recorded(rollout: Rollout, done: Step, now: dt.datetime) -> dg.AssetMaterialization:
    record, seen = done.after, done.observation or rollout.look(now)
    assert record is not None  # noqa: S101  # for mypy: asked before
    steps = rollout.history.steps()
    own = steps[steps["experiment"] == record.experiment]
    figures = {"groups": dg.MetadataValue.md(markdown(pd.DataFrame(group_rows(seen))))} if seen else {}
    return dg.AssetMaterialization(
        CANARY_KEY,
        metadata={
            "experiment": record.experiment,
            "model": record.label,
            "percent": record.percent,
            "baseline_percent": record.baseline_percent,
            "status": str(record.status),
            "reason": record.news,
            "changed_by": record.who,
            **figures,
            **_steps_metadata(own),
        },
    )


def _steps_metadata(steps: pd.DataFrame) -> dict[str, Any]:
    if steps.empty:
        return {}
    picture = base64.b64encode(canary_plot(steps)).decode()
    shown = steps[["changed_at", "label", "percent", "status", "changed_by", "reason"]].tail(20).astype(str)
    return {
        "plot": dg.MetadataValue.md(f"![Share of the visitors over time](data:image/png;base64,{picture})"),
        "steps": dg.MetadataValue.md(markdown(shown)),
    }
