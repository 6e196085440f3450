"""When assets run by themselves: a small library of named conditions, each with a test over ticks."""

from typing import Any

from dagster import AutomationCondition

Condition = Any
"""A condition: Dagster's operators return types that lack `with_label`."""

SOUND_UPSTREAM = AutomationCondition.all_deps_blocking_checks_passed().with_label("blocking checks upstream passed")

_IS_FAILED: Condition = AutomationCondition.execution_failed()
_FIRST_FAILURE: Condition = _IS_FAILED.newly_true().since(AutomationCondition.newly_updated()).newly_true()
_QUARTER_HOUR: Condition = AutomationCondition.cron_tick_passed("*/15 * * * *")
FAILED: Condition = (_FIRST_FAILURE | (_IS_FAILED & _QUARTER_HOUR)).with_label(
    "its last run failed: at once the first time, then every quarter of an hour"
)


def _since_requested(news: Condition, label: str) -> Condition:
    """News that count until a request that came after them; none is lost that comes while a run is queued or under way.

    Not `since_last_handled()`: that forgets what is new in the tick in which the asset itself is updated. `newly_requested` is true
    in the tick after a request, so what is new in that same tick came later.
    """
    wanted = news | FAILED
    asked_for: Condition = AutomationCondition.newly_requested() & ~wanted
    handled: Condition = asked_for | AutomationCondition.initial_evaluation()
    return (
        wanted.since(handled).with_label(label)
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
        & SOUND_UPSTREAM
    )


# Not `eager()`: it waits until no upstream partition is missing, and most days of a long daily partition never arrive.
_NEWS: Condition = (
    AutomationCondition.any_deps_updated()
    | AutomationCondition.newly_missing()
    | AutomationCondition.code_version_changed()  # of recipes of variants, of list rules
)
ON_NEWS = _since_requested(
    _NEWS, "something upstream or its own recipe or rules are new, it was never made, or its last run failed"
).with_label("on news from upstream")

NIGHTLY = _since_requested(
    AutomationCondition.cron_tick_passed("0 3 * * *"), "03:00 UTC has passed, or its last run failed"
).with_label("nightly")
