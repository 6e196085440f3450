"""The errors of failed steps and checks, as text for people."""

import re

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

_MODULE = re.compile(r"^(?:\w+\.)+(?=\w+:)")


def words_of_step(event: dg.DagsterEvent) -> str:
    """The description of a failed step, or its error."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return words_of(data.error)


def words_of_checks(instance: dg.DagsterInstance, run_id: str, step: str) -> str:
    """A sentence for each blocking check that failed in a step; empty if none did. Dagster's own error only names the checks."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    found = [event.asset_check_evaluation_data for event in events if event.step_key == step]
    return " ".join(sentence_of_check(check) for check in found if _is_severe(check))


def sentence_of_check(check: dg.AssetCheckEvaluation) -> str:
    """A sentence that names a failed check and its description."""
    rows = check.metadata.get("dagster_dbt/failed_row_count")
    why = check.description or (f"{rows.value} rows" if rows else "see its metadata")
    return f"Check {check.check_name} of {check.asset_key.to_user_string()} failed: {why}."


def _is_severe(check: dg.AssetCheckEvaluation) -> bool:
    return bool(not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR)


def words_of(error: SerializableErrorInfo | None) -> str:
    """The message of an error, or of its cause if the error is only Dagster's wrapper."""
    while error and error.cause and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return _MODULE.sub("", error.message.strip()) if error else ""
