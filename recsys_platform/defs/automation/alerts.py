"""The sensor that tells people of failed runs; the words and the ways to people are in recsys_platform/alerts.py."""

import dagster as dg

from recsys_platform.alerts import FailedRun, alert_of, channels_of, tell
from recsys_platform.defs.automation.failures import words_of, words_of_step
from recsys_platform.settings import Settings

WILL_RETRY = "dagster/will_retry"
"""Tag by which Dagster says that it starts a failed run again by itself."""


def failure_alert(status: dg.DefaultSensorStatus, settings: Settings) -> dg.SensorDefinition:
    """Tells every channel of the settings of every failed run of the instance, once."""
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
        tell(alert_of(failed_run(context), settings), channels)
        return None

    return failed_runs


def failed_run(context: dg.RunFailureSensorContext) -> FailedRun:
    """What the event log says of a failed run: its first failed step, or what ended the run if no step failed."""
    run, steps = context.dagster_run, context.get_step_failure_events()
    step, error = (steps[0].step_key or "", words_of_step(steps[0])) if steps else ("", _of_run(context.failure_event))
    again = run.tags.get(WILL_RETRY) == "true"
    return FailedRun(run.job_name, run.run_id, step=step, error=error, is_tried_again=again)


def _of_run(event: dg.DagsterEvent) -> str:
    data = event.job_failure_data  # none where the daemon found the worker dead
    return words_of(data.error if data else None) or event.message or ""
