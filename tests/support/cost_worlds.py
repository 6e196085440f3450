"""A month of two runs a day, small enough to be added up by hand, for the marts of costs on both engines."""

import datetime as dt
from collections.abc import Iterator

from recsys_platform.reports.costs.usage import RunUsage, StepUsage, resources_used, shares_of_assets, usage_rows

FIRST, DAYS = dt.date(2026, 6, 1), 30
LAST = FIRST + dt.timedelta(days=DAYS - 1)
PARENTS = (
    "create table marts.fct_answer_counts (answers bigint, counted_on date)",
    """create table marts.fct_recommendation_requests (surface varchar, model varchar, experiment varchar, variant varchar,
        is_bot boolean, shown_on date)""",
    "create table marts.rpt_daily_activity (occurred_on date, active_readers bigint)",
    "create table marts.rpt_active_readers (monthly_active_readers bigint, date_day date)",
)
PRICES = (
    ("local_cpu_second", "second", 1, "0.01", "2026-01-01"),
    ("local_cpu_second", "second", 1, "0.02", "2026-06-16"),
    ("local_disk_gb_month", "GB for a month", 1, "0.90", "2026-01-01"),
    ("answer", "answer", 1000, "5", "2026-01-01"),
)


def parents() -> Iterator[str]:
    """Statements that make what the marts of costs read: each day 100 answers, 80 of them shown, to 4 readers."""
    yield from PARENTS
    for n in range(DAYS):
        day = f"date '{FIRST + dt.timedelta(days=n)}'"
        yield f"insert into marts.fct_answer_counts values (60, {day}), (40, {day})"
        yield f"insert into marts.rpt_daily_activity values ({day}, 4)"
        yield f"insert into marts.rpt_active_readers values (20, {day})"
        for surface, model, experiment, variant, requests in (
            ("home", "blend", "trial", "treatment", 50),
            ("home", "popularity", "trial", "control", 20),
            ("search", "popularity", "none", "none", 10),
        ):
            rows = f"('{surface}', '{model}', '{experiment}', '{variant}', false, {day})"
            yield f"insert into marts.fct_recommendation_requests values {', '.join([rows] * requests)}"


def prices() -> str:
    """A statement that puts the prices of this world into the seed's table."""
    rows = (f"('{what}', '{unit}', {per}, {usd}, date '{day}', 'test')" for what, unit, per, usd, day in PRICES)
    return f"insert into staging.prices values {', '.join(rows)}"


def step(
    name: str | None, begin: dt.datetime, seconds: float, cpu: float, assets: dict[str, float | None]
) -> StepUsage:
    """A step on a local machine."""
    used = resources_used("local", seconds=seconds, cpu_seconds=cpu, cores=2, memory_gb=4, requests={})
    return StepUsage(name, begin, begin + dt.timedelta(seconds=seconds), used, shares_of_assets(assets))


def reports() -> Iterator[RunUsage]:
    """What two runs of each day report: one builds, the other trains."""
    for n in range(DAYS):
        begin = dt.datetime.combine(FIRST, dt.time(3)) + dt.timedelta(days=n)
        dbt = step("dbt_models", begin, 20, 40, {"marts/fct_events": 3.0, "staging/stg_segment__events": 1.0})
        yield RunUsage(f"build-{n}", 0, "refresh", False, [dbt, step(None, begin, 5, 2, {})])
        later = begin + dt.timedelta(hours=1)
        train = step("models__blend", later, 100, 150, {"models/blend": None})
        evaluate = step("models__evaluation", later, 40, 50, {"models/evaluation": None})
        yield RunUsage(f"train-{n}", 0, "refresh", False, [train, evaluate])


def rows() -> list[dict[str, object]]:
    """The rows of `ops.cost_of_runs` of the month."""
    return usage_rows(reports())
