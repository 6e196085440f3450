"""When assets run by themselves: a small library of named conditions, each with a test over ticks."""

from dagster import AutomationCondition

SOUND_UPSTREAM = AutomationCondition.all_deps_blocking_checks_passed().with_label("blocking checks upstream passed")

# Not `eager()`: it waits until no upstream partition is missing, and most days of a long daily partition never arrive.
ON_NEWS = (
    (AutomationCondition.any_deps_updated() | AutomationCondition.newly_missing().with_label("never made"))
    .since_last_handled()
    .with_label("something upstream is new")
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & SOUND_UPSTREAM
).with_label("on news from upstream")

NIGHTLY = (
    AutomationCondition.cron_tick_passed("0 3 * * *").since_last_handled().with_label("03:00 UTC has passed")
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & SOUND_UPSTREAM
).with_label("nightly")
