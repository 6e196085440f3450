"""When assets run by themselves: a small library of named conditions, each with a test over ticks."""

from dagster import AutomationCondition

SOUND_UPSTREAM = AutomationCondition.all_deps_blocking_checks_passed().with_label("blocking checks upstream passed")

# Not `eager()`: it waits until no upstream partition is missing, and most days of a long daily partition never arrive.
_NEWS: AutomationCondition = (
    AutomationCondition.any_deps_updated()
    | AutomationCondition.newly_missing()
    | AutomationCondition.code_version_changed()  # of recipes of variants, of list rules
)
ON_NEWS = (
    _NEWS.since_last_handled().with_label("something upstream or its own recipe or rules are new, or it was never made")
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & SOUND_UPSTREAM
).with_label("on news from upstream")

_THREE: AutomationCondition = AutomationCondition.cron_tick_passed("0 3 * * *")
NIGHTLY = (
    _THREE.since_last_handled().with_label("03:00 UTC has passed")
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & SOUND_UPSTREAM
).with_label("nightly")
