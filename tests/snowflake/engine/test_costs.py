"""Costs on Snowflake: credits by query tag and time, and the same marts as on DuckDB."""

import datetime as dt
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector import connect

from recsys_platform.common.errors import WarehouseError
from recsys_platform.config.dbt_profile import variables_for_dbt
from recsys_platform.config.settings import Settings
from recsys_platform.defs.transform.project import DBT, ROOT
from recsys_platform.reports.costs.figures import cost_figures
from recsys_platform.reports.costs.usage import (
    COSTS,
    RunUsage,
    StepUsage,
    collect_credits,
    collect_storage,
    collected_until,
    replace_usage,
    usage_rows,
)
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.cost_worlds import FIRST, LAST, parents, prices, rows

DAY = dt.date(2026, 11, 20)
VIRTUAL = ("recsys_transform", "recsys_serve", "recsys_analysis")
QUERIES = """create table snowflake.account_usage.query_attribution_history (
    query_id varchar, query_tag varchar, warehouse_name varchar, start_time timestamp_ltz, credits_attributed_compute double)"""
METERED = """create table snowflake.account_usage.warehouse_metering_history (
    warehouse_name varchar, start_time timestamp_ltz, credits_used double, credits_used_compute double)"""


@pytest.fixture
def usage(account: dict[str, Any]) -> Iterator[Any]:
    """What Snowflake tells of its use: dbt's step took 3 credits, the training 1, somebody else's query 5; 12 were paid for.

    Another deployment's dbt ran at the same time on a virtual warehouse of its own, and cloud services took half a credit each hour.
    """
    with connect(**account) as session:
        cursor = session.cursor()
        cursor.execute("create database if not exists snowflake")
        cursor.execute("create schema if not exists snowflake.account_usage")
        cursor.execute(QUERIES)
        cursor.execute(METERED)
        for tag, time, credits, warehouse in (
            ("recsys_dbt", "03:00:10", 2, "RECSYS_TRANSFORM"),
            ("recsys_dbt", "03:09:59", 1, "RECSYS_TRANSFORM"),
            ("recsys", "04:00:01", 1, "RECSYS_TRANSFORM"),
            ("recsys", "09:00:00", 1, "RECSYS_SERVE"),
            ("dashboard", "03:05:00", 5, "RECSYS_ANALYSIS"),
            ("recsys_dbt", "03:06:00", 7, "RECSYS_DEV_TRANSFORM"),
        ):
            values = f"'{tag} {time}', '{tag}', '{warehouse}', '{DAY} {time}', {credits}"
            cursor.execute(f"insert into snowflake.account_usage.query_attribution_history values ({values})")
        for name, credits in (("RECSYS_TRANSFORM", 8), ("RECSYS_ANALYSIS", 4), ("ANOTHER", 99)):
            values = f"'{name}', '{DAY} 03:00:00', {credits} + 0.5, {credits}"
            cursor.execute(f"insert into snowflake.account_usage.warehouse_metering_history values ({values})")
        yield cursor
        for name in ("query_attribution_history", "warehouse_metering_history"):
            cursor.execute(f"drop table snowflake.account_usage.{name}")


def step(name: str, hour: int, shares: dict[str, float]) -> StepUsage:
    begin = dt.datetime.combine(DAY, dt.time(hour))
    return StepUsage(name, begin, begin + dt.timedelta(minutes=10), {"seconds": 600.0}, shares)


def test_credits_belong_to_the_step_that_ran_and_the_rest_to_nobody(warehouse: SnowflakeWarehouse, usage: Any) -> None:
    build = step("dbt_models", 3, {"marts/a": 0.75, "marts/b": 0.25})
    train = step("models__blend", 4, {"models/blend": 1.0})
    replace_usage(warehouse, usage_rows([RunUsage("r", 0, "refresh", False, [build, train])]))
    assert collected_until(warehouse) == dt.datetime.combine(DAY, dt.time(3, 10))
    for _ in range(2):  # what is collected again replaces what was there
        assert collect_credits(warehouse, VIRTUAL, DAY) == 4
    found = warehouse.frame(
        f"select asset, quantity, used_on from {COSTS} where resource = 'snowflake_credit' order by quantity"
    ).to_pylist()
    assert [(row["asset"], row["quantity"]) for row in found] == [
        ("marts/b", pytest.approx(0.75)),
        ("models/blend", pytest.approx(1)),
        ("marts/a", pytest.approx(2.25)),
        (None, pytest.approx(8)),
    ]
    assert sum(row["quantity"] for row in found) == pytest.approx(12)
    usage.execute(
        "update snowflake.account_usage.warehouse_metering_history set credits_used_compute = credits_used_compute * 2"
    )
    collect_credits(warehouse, VIRTUAL, DAY)
    total = warehouse.frame(f"select sum(quantity) as n from {COSTS} where resource = 'snowflake_credit'")
    assert float(total["n"][0].as_py()) == pytest.approx(24)


def test_credits_are_attributed_once_though_steps_of_several_runs_overlap(
    warehouse: SnowflakeWarehouse, usage: Any
) -> None:
    """Two trainings and a publication run while dbt builds, in runs of their own."""
    begin = dt.datetime.combine(DAY, dt.time(2, 55))
    runs = [RunUsage("build", 0, "refresh", False, [step("dbt_models", 3, {"marts/a": 1.0})])]
    for minutes, name in enumerate(("models__als", "models__ease", "published")):
        since = begin + dt.timedelta(minutes=minutes)
        of_step = StepUsage(name, since, since + dt.timedelta(hours=2), {"seconds": 7200.0}, {name: 1.0})
        runs.append(RunUsage(name, 0, "train", False, [of_step]))
    replace_usage(warehouse, usage_rows(runs))
    collect_credits(warehouse, VIRTUAL, DAY)
    found = warehouse.frame(
        f"select asset, quantity from {COSTS} where resource = 'snowflake_credit' order by quantity"
    )
    assert [(row["asset"], float(row["quantity"])) for row in found.to_pylist()] == [
        ("published", pytest.approx(1)),  # of what began, the last
        ("marts/a", pytest.approx(3)),
        (None, pytest.approx(8)),
    ]


def test_a_night_that_ends_after_midnight_costs_what_was_metered(warehouse: SnowflakeWarehouse, usage: Any) -> None:
    """Its build began at 23:50. A query of 23:55 went on after midnight, and another began then: 2 and 3 credits of 5."""
    day_after = DAY + dt.timedelta(days=1)
    begin = dt.datetime.combine(DAY, dt.time(23, 50))
    build = StepUsage("dbt_models", begin, begin + dt.timedelta(hours=1), {"seconds": 3600.0}, {"marts/a": 1.0})
    replace_usage(warehouse, usage_rows([RunUsage("r", 0, "refresh", False, [build])]))
    for name in ("query_attribution_history", "warehouse_metering_history"):
        usage.execute(f"delete from snowflake.account_usage.{name}")
    for time, credits in ((f"{DAY} 23:55:00", 2), (f"{day_after} 00:10:00", 3)):
        values = f"'{time}', 'recsys_dbt', 'RECSYS_TRANSFORM', '{time}', {credits}"
        usage.execute(f"insert into snowflake.account_usage.query_attribution_history values ({values})")
    for time, credits in ((f"{DAY} 23:00:00", 1), (f"{day_after} 00:00:00", 4)):
        values = f"'RECSYS_TRANSFORM', '{time}', {credits}, {credits}"
        usage.execute(f"insert into snowflake.account_usage.warehouse_metering_history values ({values})")
    collect_credits(warehouse, VIRTUAL, DAY)
    collect_credits(warehouse, VIRTUAL, day_after)  # the build began before the days that are collected
    rows = warehouse.frame(
        f"select used_on, asset, quantity from {COSTS} where resource = 'snowflake_credit' order by used_on, asset nulls last"
    ).to_pylist()
    assert [(row["used_on"], row["asset"], round(float(row["quantity"]), 6)) for row in rows] == [
        (DAY, "marts/a", 2),
        (DAY, None, -1),
        (day_after, "marts/a", 3),
        (day_after, None, 1),
    ]


def test_a_role_without_the_right_is_told(warehouse: SnowflakeWarehouse) -> None:
    with pytest.raises(WarehouseError):
        collect_credits(warehouse, VIRTUAL, DAY)


@pytest.mark.slow
def test_a_month_costs_the_same_on_both_engines(
    warehouse: SnowflakeWarehouse, account: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    """The month of `tests/dbt/test_costs.py`; on AWS each answer is a request to API Gateway too, here without a price."""
    with connect(**account) as session:
        for schema in ("staging", "marts"):
            session.cursor().execute(f"create schema if not exists {schema}")
        for statement in parents():
            session.cursor().execute(statement)
    replace_usage(warehouse, rows())
    with warehouse.connect() as open_session:
        open_session.execute(
            f"insert into ops.load_ledger select 'k', 'e', {1024**3}, 500, 500, 0, timestamp '{FIRST} 01:00:00'"
        )
    collect_storage(warehouse, "local", LAST)
    variables = {**variables_for_dbt(settings), "DBT_TARGET_PATH": str(tmp_path), "DBT_LOG_PATH": str(tmp_path)}
    command = [
        str(DBT),
        "build",
        "--exclude-resource-type",
        "test",
        "--select",
        "prices",
        "fct_costs",
        "rpt_cost_daily",
    ]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    with connect(**account) as session:
        session.cursor().execute("delete from staging.prices")
        session.cursor().execute(prices())
    found = cost_figures(warehouse, settings, LAST)
    assert float(found.total) == pytest.approx(124.80)
    assert found.dearest[0].asset == "models/blend"
    assert found.cost_per_1000_recommendations == pytest.approx(124.80 / 2400 * 1000)
