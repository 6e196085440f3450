"""Alerts about problems other than failed runs: failed checks, assets older than their freshness policy, silent trackers.

Belongs here: detecting these, and reporting each once until it is over.
Does not: texts and sending (recsys_platform/notifications/).
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.alerts import send_unsent
from recsys_platform.defs.automation.check_status import completed_checks, severity_of
from recsys_platform.defs.automation.outline import Outline, outline_of_repository
from recsys_platform.defs.automation.state import asset_ages
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.arrivals import HOUR, silence_of_trackers
from recsys_platform.notifications.alerts import problem_alert
from recsys_platform.notifications.channels import AlertError, Channel, channels_of, notify

Problems = Mapping[str, str]
"""A problem's stable name → a sentence."""
_SILENCE = "silence of "


def problems_alert(
    status: dg.DefaultSensorStatus, settings: Settings, clock: Callable[[], dt.datetime]
) -> dg.SensorDefinition:
    """A sensor that sends an alert for each problem, once until it is over."""
    channels = channels_of(settings)

    @dg.sensor(
        name="problems",
        minimum_interval_seconds=300,
        default_status=status,
        description="Sends an alert for failed checks, assets older than their freshness policy and silent trackers.",
    )
    def problems(context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub]) -> dg.SkipReason:
        if context.repository_def is None:
            return dg.SkipReason("There is no asset graph.")
        graph, reported = context.repository_def.asset_graph, set(json.loads(context.cursor or "[]"))
        found = {
            **failed_checks(graph, context.instance, settings.alert_severity),
            **too_old(outline_of_repository(context.repository_def), context.instance, clock()),
        }
        try:
            found |= silent_trackers(hub, clock(), dt.timedelta(hours=settings.alert_silence_hours))
            unread = ""
        except RecsysError as error:
            # What Dagster knows is sent all the same, and what was sent about trackers still holds.
            found |= dict.fromkeys((name for name in reported if name.startswith(_SILENCE)), "")
            unread = f" {error}"
        new = [sentence for name, sentence in found.items() if name not in reported]
        if channels:
            send_unsent(context.instance, channels)
        not_sent = _send_alert(new, settings, channels) if new else ""
        context.update_cursor(json.dumps(sorted(found)))
        return dg.SkipReason(f"{len(found)} problems, {len(new)} of them new.{not_sent}{unread}")

    return problems


def _send_alert(new: Sequence[str], settings: Settings, channels: Sequence[Channel]) -> str:
    """Send an alert; a further sentence if not every channel took it. Raises `AlertError` if none did: the next tick tries again."""
    if not channels:
        return " No alert was sent: neither RECSYS_ALERT_TOPIC nor RECSYS_ALERT_WEBHOOK is set."
    try:
        notify(problem_alert(new, settings), channels)
    except AlertError as error:
        if not error.was_sent:
            raise
        return f" {error}"
    return ""


def failed_checks(graph: AssetGraph, instance: dg.DagsterInstance, severity: str) -> Problems:
    """Checks whose latest evaluation failed with at least this severity (`warn` or `error`).

    Without those that made their run fail: there is an alert for the run.
    """
    records = completed_checks(instance, graph.asset_check_keys)
    return {
        f"check {key.to_user_string()}": f"Check {key.name} of {key.asset_key.to_user_string()} failed{_failure_reason(record)}."
        for key, record in records.items()
        if _has_failed(record, severity)
        and not (graph.get(key).blocking and _is_reported_with_its_run(record, instance))
    }


def _has_failed(record: AssetCheckExecutionRecord, severity: str) -> bool:
    if record.status.value != "FAILED" or severity == "warn":
        return record.status.value == "FAILED"
    return severity_of(record) == dg.AssetCheckSeverity.ERROR


def _is_reported_with_its_run(record: AssetCheckExecutionRecord, instance: dg.DagsterInstance) -> bool:
    """Whether the run of a failed blocking check is unfinished, or failed first in the check's step, which is reported."""
    run = instance.get_run_by_id(record.run_id)
    event = record.event.dagster_event if record.event else None
    if run is None or event is None or run.status != dg.DagsterRunStatus.FAILURE:
        return run is not None and not run.is_finished
    failures = instance.all_logs(record.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return bool(failures) and failures[0].step_key == event.step_key


def _failure_reason(record: AssetCheckExecutionRecord) -> str:
    event = record.event.dagster_event if record.event else None
    description = event.asset_check_evaluation_data.description if event else None
    return f": {description}" if description else ""


def too_old(outline: Outline, instance: dg.DagsterInstance, now: dt.datetime) -> Problems:
    """Materialized assets that are older than their freshness policy allows."""
    return {
        f"age of {name}": f"{name} is {age / 3600:.0f} hours old, and may be {most / 3600:.0f}."
        for name, age, most in asset_ages(outline, instance, now)
        if age > most
    }


def silent_trackers(hub: Hub, now: dt.datetime, longest: dt.timedelta) -> Problems:
    """Trackers that have sent events before, but none for `longest`."""
    return {
        f"{_SILENCE}{source}": f"Nothing of {source} has landed since {now - silence - HOUR:%Y-%m-%d %H:00} UTC."
        for source, silence in silence_of_trackers(hub, now).items()
        if silence >= longest
    }
