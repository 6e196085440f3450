"""Automation conditions of assets: a small library of named conditions, each tested over several ticks."""

from typing import Any

from dagster import AutomationCondition

Condition = Any
"""A condition: Dagster's operators return types that lack `with_label`."""

SOUND_UPSTREAM = AutomationCondition.all_deps_blocking_checks_passed().with_label("blocking checks upstream passed")

_IS_FAILED: Condition = AutomationCondition.execution_failed()
_FIRST_FAILURE: Condition = _IS_FAILED.newly_true().since(AutomationCondition.newly_updated()).newly_true()
_QUARTER_HOUR: Condition = AutomationCondition.cron_tick_passed("*/15 * * * *")
FAILED: Condition = (_FIRST_FAILURE | (_IS_FAILED & _QUARTER_HOUR)).with_label(
    "its last run failed: immediately the first time, then every 15 minutes"
)


def _since_requested(trigger: Condition, label: str) -> Condition:
    """True from a trigger until a request that came after it, so that no trigger is lost while a run is queued or in progress.

    Not `since_last_handled()`: that drops a trigger in the tick in which the asset itself is updated. `newly_requested` is true in
    the tick after a request, so a trigger in that same tick came later.
    """
    wanted = trigger | FAILED
    requested: Condition = AutomationCondition.newly_requested() & ~wanted
    handled: Condition = requested | AutomationCondition.initial_evaluation()
    return (
        wanted.since(handled).with_label(label)
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
        & SOUND_UPSTREAM
    )


# Not `eager()`: it waits until no upstream partition is missing, and most days of a daily partition never arrive.
_CHANGED: Condition = (
    AutomationCondition.any_deps_updated()
    | AutomationCondition.newly_missing()
    | AutomationCondition.code_version_changed()  # of recipes of variants, of list rules
)
ON_CHANGE = _since_requested(
    _CHANGED, "upstream data or its own code version changed, it was never materialized, or its last run failed"
).with_label("on change upstream")

NIGHTLY = _since_requested(
    AutomationCondition.cron_tick_passed("0 3 * * *"), "03:00 UTC has passed, or its last run failed"
).with_label("nightly")
