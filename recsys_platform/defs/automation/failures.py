"""What a failed step says of itself, in words for people."""

import re

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

_MODULE = re.compile(r"^(?:\w+\.)+(?=\w+:)")


def words_of_step(event: dg.DagsterEvent) -> str:
    """What the step that failed says: its own description, or its error."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return words_of(data.error)


def words_of(error: SerializableErrorInfo | None) -> str:
    """The words of an error, or of what caused it as long as it is only Dagster's wrapping."""
    while error and error.cause and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    return _MODULE.sub("", error.message.strip()) if error else ""
