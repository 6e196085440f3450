"""The sensor that sends alerts about failed runs; texts and channels are in recsys_platform/notifications/alerts.py."""

import json
import re
import time

import dagster as dg

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.failures import words_of, words_of_checks, words_of_step
from recsys_platform.notifications.alerts import FailedRun, run_failure_alert
from recsys_platform.notifications.channels import channels_of, notify

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
        notify(run_failure_alert(failed, settings), channels)
        note_alerted(context.instance, context.dagster_run, failed)
        return None

    return failed_runs


def is_already_alerted(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: FailedRun) -> bool:
    """Whether an alert was sent for the same failure, and no run of the same assets has succeeded since."""
    alerted_at = _alerted_failures(instance).get(_failure_fingerprint(failed))
    if alerted_at is None:
        return False
    succeeded = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS])
    since = (record for record in instance.get_run_records(succeeded, limit=100) if (record.end_time or 0) > alerted_at)
    return not any(_share_assets(run, record.dagster_run) for record in since)


def note_alerted(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: FailedRun) -> None:
    """Record that an alert was sent for a failure."""
    newest = sorted(
        {**_alerted_failures(instance), _failure_fingerprint(failed): time.time()}.items(), key=lambda item: item[1]
    )
    instance.daemon_cursor_storage.set_cursor_values({_ALERTED: json.dumps(dict(newest[-_MOST_ALERTED:]))})


_ALERTED, _MOST_ALERTED = "recsys/told_failures", 200


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
