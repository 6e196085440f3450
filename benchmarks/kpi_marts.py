"""What the KPI marts cost, in rows and in seconds, as the number of events grows.

    python benchmarks/kpi_marts.py [--readers 1000] [--times 100] [--json]

Makes the tables that the KPI marts read, without the pipeline before them: events, sessions, exposures and attributes of readers in 91
days, and of as many readers in ten times the days. Then dbt builds the marts, without tests. Seconds are CPU of dbt and DuckDB
together; those of dbt's own start and of the seeds are measured alone and shown first.
"""

import argparse
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
from measure import Budget, keeps_all, show

from recsys_platform.transform.dbt import OUR_DBT, ROOT
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

SEEDS = ("exchange_rates", "kpi_inputs", "kpi_targets", "dim_dates")
MARTS = (
    "int_subscription_events",
    "fct_payments",
    "fct_subscriptions",
    "fct_reader_months",
    "rpt_active_readers",
    "rpt_retention_cohorts",
    "rpt_catalog_coverage",
    "rpt_kpi_scorecard",
)
EVENTS_A_DAY = 1.5
UNTIL = "date '2026-11-01'"
BUDGET = {"growth_of_reports": Budget("≤", 2)}
"""Reports have rows by month, week and segment: with a hundred times the readers they get hardly more."""


def statements(readers: int, days: int) -> Iterator[str]:
    """The tables that the KPI marts read; `readers` readers come back for `days` days."""
    numbers = f"range({int(readers * days * EVENTS_A_DAY)}) numbers(i)"
    reader, chance = f"hash(i) % {readers}", "hash(i + 1) % 1000"
    moment = f"{UNTIL} - to_days((hash(i + 2) % {days})::integer + 1) + to_seconds((hash(i + 3) % 86400)::bigint)"
    yield "create schema if not exists marts; create schema if not exists intermediate"
    yield f"""create table marts.fct_events as
        select
            'e' || i as event_id, 'u' || reader as user_id, 'u' || reader as visitor_id,
            case
                when chance < 5 then 'Subscription Started' when chance < 15 then 'Subscription Renewed'
                when chance < 18 then 'Subscription Cancelled' when chance < 25 then 'App Rated'
                when chance < 400 then 'Book Started' when chance < 550 then 'Book Finished' else 'Book Viewed'
            end as event_name,
            'b' || (hash(i + 4) % 1000) as book_id, (chance % 5 + 1)::double as rating,
            'monthly' as plan, 'web' as store, 'EUR' as currency, 9.99::decimal(18, 4) as price,
            case chance % 3 when 0 then 'ios' when 1 then 'android' else 'web' end as platform,
            false as is_bot, moment::date as occurred_on, moment as occurred_at, moment::date as arrived_on
        from (select i, {reader} as reader, {chance} as chance, {moment} as moment from {numbers}) order by occurred_on"""
    yield """create table intermediate.int_visitor_days as
        select
            visitor_id, any_value(user_id) as user_id, occurred_on, count(*) as events, min(occurred_at) as first_at,
            count(*) filter (event_name = 'Book Started') as starts, count(*) filter (event_name = 'Book Finished') as finishes
        from marts.fct_events group by visitor_id, occurred_on"""
    yield """create table marts.fct_sessions as
        select user_id || occurred_on as session_id, user_id, 'web' as platform, first_at as started_at
        from intermediate.int_visitor_days"""
    yield """create table marts.fct_exposures as
        select
            user_id, book_id, false as is_bot, occurred_on as shown_on, case when rating > 3 then 'blend' else 'newest' end as model,
            rating > 3 as is_personalised, rating = 5 as is_clicked_in_time, if(rating > 2, 'home', 'search') as surface
        from marts.fct_events"""
    yield f"""create table marts.dim_users as
        select
            user_id, case hash(user_id) % 3 when 0 then 'de' when 1 then 'en' end as language,
            {UNTIL} - to_days((hash(user_id) % {days})::integer + 1) as created_at, min(occurred_at) as first_seen_at
        from marts.fct_events group by user_id"""
    yield """create table marts.dim_users_history as
        select user_id, 'free' as tier, created_at::date as valid_from, null::date as valid_to from marts.dim_users"""
    yield """create table marts.dim_books as
        select 'b' || i as book_id, true as is_available, timestamp '2020-01-01' as published_at from range(1000) books(i)"""


def build(home: Path, *names: str) -> float:
    """Build models and seeds by dbt, without tests; seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [OUR_DBT, "--quiet", "build", "--exclude-resource-types", "test", "unit_test", "--select", *names]
    environment = {**os.environ, "RECSYS_HOME": str(home), "DBT_TARGET_PATH": str(home / "dbt"), "RECSYS_ENV": "local"}
    subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(readers: int, days: int) -> tuple[float, dict[str, int]]:
    """Seconds of CPU that the marts take beyond those of dbt's start, and the rows of each."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        DuckDBWarehouse(home / "warehouse.duckdb").prepare()
        with duckdb.connect(home / "warehouse.duckdb") as connection:
            for statement in statements(readers, days):
                connection.execute(statement)
        build(home, *SEEDS)
        start = build(home, "kpi_targets")
        seconds = build(home, *MARTS) - start
        with duckdb.connect(home / "warehouse.duckdb") as connection:
            counted = {
                name: connection.sql(
                    f"select count(*) from {'intermediate' if name.startswith('int_') else 'marts'}.{name}"
                )
                for name in MARTS
            }
            return seconds, {name: answer.fetchall()[0][0] for name, answer in counted.items()}


def figures(readers: int, times: int) -> dict[str, float]:
    """Seconds and rows at 1 ×, at `times` × the readers, and at 10 × the days."""
    worlds = {"1x": (readers, 91), f"{times}x": (readers * times, 91), "10x_days": (readers, 910)}
    found: dict[str, float] = {}
    for name, (people, days) in worlds.items():
        seconds, rows = measured(people, days)
        found |= {f"events_{name}": int(people * days * EVENTS_A_DAY), f"seconds_{name}": seconds}
        found |= {f"{mart}_{name}": count for mart, count in rows.items()}
    grown = [found[f"{mart}_{times}x"] / found[f"{mart}_1x"] for mart in MARTS if mart.startswith("rpt_")]
    return {**found, "growth_of_reports": max(grown)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=1000, help="readers at 1 ×; as many events a day and a half")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = figures(given.readers, given.times)
    show(found, BUDGET, as_json=given.json)
    return 0 if keeps_all(found, BUDGET) else 1


if __name__ == "__main__":
    raise SystemExit(main())
