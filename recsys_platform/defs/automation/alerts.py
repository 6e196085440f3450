"""The sensor that tells people of failed runs; the words and the ways to people are in recsys_platform/notifications/alerts.py."""

import json
import re
import time

import dagster as dg

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.failures import words_of, words_of_checks, words_of_step
from recsys_platform.notifications.alerts import FailedRun, run_failure_alert
from recsys_platform.notifications.channels import channels_of, notify

WILL_RETRY = "dagster/will_retry"
"""Tag by which Dagster says that it starts a failed run again by itself."""


def failure_alert(status: dg.DefaultSensorStatus, settings: Settings) -> dg.SensorDefinition:
    """Tells every channel of the settings of every failed run of the instance; of one that fails again as before, once."""
    channels = channels_of(settings)

    @dg.run_failure_sensor(
        name="failed_runs",
        # Runs of `recsys run` have no code location: without this they would fail in silence.
        monitor_all_code_locations=True,
        default_status=status,
        description="Tells the topic and the webhook of the settings of every run that failed.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not channels:
            return dg.SkipReason(
                f"Run {context.dagster_run.run_id} failed and nobody was told: "
                "neither RECSYS_ALERT_TOPIC nor RECSYS_ALERT_WEBHOOK is set."
            )
        failed = failed_run(context)
        if is_told(context.instance, context.dagster_run, failed):
            return dg.SkipReason(f"Run {failed.run_id} failed as one before it, of which people know.")
        notify(run_failure_alert(failed, settings), channels)
        note_told(context.instance, context.dagster_run, failed)
        return None

    return failed_runs


def is_told(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: FailedRun) -> bool:
    """Whether people know of the same failure, and no run of the same assets has succeeded since."""
    told = _told(instance).get(_fingerprint(failed))
    if told is None:
        return False
    succeeded = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS])
    since = (record for record in instance.get_run_records(succeeded, limit=100) if (record.end_time or 0) > told)
    return not any(_overlap(run, record.dagster_run) for record in since)


def note_told(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: FailedRun) -> None:
    """Note that people were told of a failure."""
    newest = sorted({**_told(instance), _fingerprint(failed): time.time()}.items(), key=lambda item: item[1])
    instance.daemon_cursor_storage.set_cursor_values({_TOLD: json.dumps(dict(newest[-_MOST_TOLD:]))})


_TOLD, _MOST_TOLD = "recsys/told_failures", 200


def _told(instance: dg.DagsterInstance) -> dict[str, float]:
    held = instance.daemon_cursor_storage.get_cursor_values({_TOLD}).get(_TOLD, "{}")
    return dict(json.loads(held))


def _fingerprint(failed: FailedRun) -> str:
    """What two failures have in common that are the same: numbers (days, processes, times) may differ."""
    return f"{failed.job} {failed.step} {re.sub(r'[0-9]+', '0', failed.error)}"[:500]


def _overlap(run: dg.DagsterRun, other: dg.DagsterRun) -> bool:
    """Whether another run of the same job did what this one was to do; without a selection it was the whole job."""
    ours, theirs = run.asset_selection or frozenset(), other.asset_selection or frozenset()
    return not theirs or bool(ours & theirs)


def failed_run(context: dg.RunFailureSensorContext) -> FailedRun:
    """What the event log says of a failed run: its first failed step, or what ended the run if no step failed."""
    run, steps = context.dagster_run, context.get_step_failure_events()
    step, error = ("", _of_run(context.failure_event))
    if steps:
        step = steps[0].step_key or ""
        error = words_of_checks(context.instance, run.run_id, step) or words_of_step(steps[0])
    again = run.tags.get(WILL_RETRY) == "true"
    return FailedRun(run.job_name, run.run_id, step=step, error=error, is_tried_again=again)


def _of_run(event: dg.DagsterEvent) -> str:
    data = event.job_failure_data  # none where the daemon found the worker dead
    return words_of(data.error if data else None) or event.message or ""
