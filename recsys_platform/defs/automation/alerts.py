"""The sensor that sends alerts about failed runs; texts and channels are in recsys_platform/notifications/alerts.py."""

import datetime as dt
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import dagster as dg

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.failures import words_of, words_of_checks, words_of_step
from recsys_platform.notifications.alerts import Alert, FailedRun, run_failure_alert
from recsys_platform.notifications.channels import AlertError, Channel, channels_of, notify

WILL_RETRY = "dagster/will_retry"
"""Dagster's tag of a failed run that it will retry."""


def failure_alert(status: dg.DefaultSensorStatus, settings: Settings) -> dg.SensorDefinition:
    """A sensor that sends an alert for every failed run of the instance; a repeated failure is sent once."""
    channels = channels_of(settings)

    @dg.run_failure_sensor(
        name="failed_runs",
        # Runs of `recsys run` have no code location: without this there would be no alert for them.
        monitor_all_code_locations=True,
        default_status=status,
        description="Sends an alert to RECSYS_ALERT_TOPIC and RECSYS_ALERT_WEBHOOK for every failed run.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not channels:
            return dg.SkipReason(
                f"Run {context.dagster_run.run_id} failed and no alert was sent: "
                "neither RECSYS_ALERT_TOPIC nor RECSYS_ALERT_WEBHOOK is set."
            )
        failed = failed_run(context)
        if is_already_alerted(context.instance, context.dagster_run, failed):
            return dg.SkipReason(f"Run {failed.run_id} failed with the same error as an earlier run that was reported.")
        alert = run_failure_alert(failed, settings)
        note_alerted(context.instance, context.dagster_run, failed)
        try:
            notify(alert, channels)
        except AlertError as error:
            if error.was_sent:
                return dg.SkipReason(f"The alert was sent, but not to every channel: {error}")
            keep_unsent(context.instance, alert)  # Dagster goes on to the next run, also after an error
            raise
        return None

    return failed_runs


def keep_unsent(instance: dg.DagsterInstance, alert: Alert) -> None:
    """Keep an alert that no channel took; the sensor `problems` sends it later."""
    _store_unsent(instance, [*_load_unsent(instance), alert][-_MOST_UNSENT:])


def send_unsent(instance: dg.DagsterInstance, channels: Sequence[Channel]) -> int:
    """Send the alerts that no channel took before, oldest first; returns how many. Raises `AlertError` if no channel takes one."""
    waiting = _load_unsent(instance)
    for sent, alert in enumerate(waiting, start=1):
        try:
            notify(alert, channels)
        except AlertError as error:
            if not error.was_sent:
                raise
        _store_unsent(instance, waiting[sent:])
    return len(waiting)


def _load_unsent(instance: dg.DagsterInstance) -> list[Alert]:
    held = instance.daemon_cursor_storage.get_cursor_values({_UNSENT}).get(_UNSENT, "[]")
    return [Alert(**each) for each in json.loads(held)]


def _store_unsent(instance: dg.DagsterInstance, alerts: Sequence[Alert]) -> None:
    instance.daemon_cursor_storage.set_cursor_values({_UNSENT: json.dumps([asdict(each) for each in alerts])})


def is_already_alerted(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: FailedRun) -> bool:
    """Whether an alert was sent for the same failure, and no run of the same assets has succeeded since."""
    alerted_at = _alerted_failures(instance).get(_failure_fingerprint(failed))
    if alerted_at is None:
        return False
    return not any(
        _share_assets(run, each.dagster_run) for each in _succeeded_since(instance, run.job_name, alerted_at)
    )


def _succeeded_since(instance: dg.DagsterInstance, job: str, since: float) -> Iterator[dg.RunRecord]:
    """Runs of a job that succeeded after a time, newest first, a page of them at a time: all automated runs are of one job."""
    after = dt.datetime.fromtimestamp(since, dt.UTC)
    succeeded = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=after)
    cursor = None
    while page := instance.get_run_records(succeeded, limit=_PAGE, cursor=cursor):
        yield from (record for record in page if (record.end_time or 0) > since)
        cursor = page[-1].dagster_run.run_id


def note_alerted(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: FailedRun) -> None:
    """Record that an alert was sent for a failure."""
    record = instance.get_run_record_by_id(run.run_id)
    at = (record.end_time if record else None) or time.time()  # a retry may have succeeded before this tick
    newest = sorted({**_alerted_failures(instance), _failure_fingerprint(failed): at}.items(), key=lambda item: item[1])
    instance.daemon_cursor_storage.set_cursor_values({_ALERTED: json.dumps(dict(newest[-_MOST_ALERTED:]))})


_ALERTED, _MOST_ALERTED = "recsys/told_failures", 200
_UNSENT, _MOST_UNSENT = "recsys/unsent_alerts", 50
_PAGE = 100


def _alerted_failures(instance: dg.DagsterInstance) -> dict[str, float]:
    held = instance.daemon_cursor_storage.get_cursor_values({_ALERTED}).get(_ALERTED, "{}")
    return dict(json.loads(held))


def _failure_fingerprint(failed: FailedRun) -> str:
    """A text that is equal for the same failure; numbers (days, processes, times) are left out."""
    return f"{failed.job} {failed.step} {re.sub(r'[0-9]+', '0', failed.error)}"[:500]


def _share_assets(run: dg.DagsterRun, other: dg.DagsterRun) -> bool:
    """Whether two runs of a job have assets in common; a run without a selection has all of them."""
    ours, theirs = run.asset_selection or frozenset(), other.asset_selection or frozenset()
    return not theirs or bool(ours & theirs)


def failed_run(context: dg.RunFailureSensorContext) -> FailedRun:
    """A failed run from the event log: its first failed step, or the error of the run if no step failed."""
    run, steps = context.dagster_run, context.get_step_failure_events()
    step, error = ("", _run_error(context.failure_event))
    if steps:
        step = steps[0].step_key or ""
        error = words_of_checks(context.instance, run.run_id, step) or words_of_step(steps[0])
    again = run.tags.get(WILL_RETRY) == "true"
    return FailedRun(run.job_name, run.run_id, step=step, error=error, will_retry=again)


def _run_error(event: dg.DagsterEvent) -> str:
    data = event.job_failure_data  # None if the daemon found the worker dead
    return words_of(data.error if data else None) or event.message or ""
