"""The marts of costs: a simulated month costs what a hand computes."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from recsys_platform.reports.costs.budget import spent_between
from recsys_platform.reports.costs.figures import cost_figures
from recsys_platform.reports.costs.usage import collect_storage, replace_usage, usage_rows
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import said_by
from tests.support.cost_worlds import DAYS, FIRST, LAST, parents, prices, reports, rows
from tests.support.dbt_world import World, failures

MARTS = ("prices", "fct_costs", "rpt_cost_daily")


@pytest.fixture(scope="module")
def month(new_world: Callable[[], World]) -> World:
    """A month of runs, a GB that landed on its first day, and answers."""
    world = new_world()
    with world.connect() as con:
        for schema in ("marts", "staging", "intermediate"):
            con.execute(f"create schema if not exists {schema}")
        for statement in parents():
            con.execute(statement)
        con.execute(
            f"insert into ops.load_ledger values ('k', 'e', {1024**3}, 500, 500, 0, timestamp '{FIRST} 01:00:00')"
        )
    warehouse = DuckDBWarehouse(world.home / "warehouse.duckdb")
    replace_usage(warehouse, rows())
    collect_storage(warehouse, "local", LAST)
    world.build("--select", *MARTS)
    with world.connect() as con:
        con.execute("delete from staging.prices")
        con.execute(prices())
    return world


def costs_by(world: World, attribute: str) -> dict[str, Decimal]:
    found = world.rows(
        f"select segment, sum(cost) from marts.rpt_cost_daily where segmented_by = '{attribute}' group by 1"
    )
    return {segment: cost.quantize(Decimal("0.0001")) for segment, cost in found}


class Settings:
    budget_month, budget_warn_at, budget_refuses = 200.0, 0.8, "off"


def test_a_simulated_month_costs_what_a_hand_computes(month: World) -> None:
    """A second of CPU costs 1 cent on the first 15 days and 2 on the others; each day has 40 + 2 + 150 + 50 of them."""
    cpu = 15 * 242 * Decimal("0.01") + 15 * 242 * Decimal("0.02")
    storage, answers = Decimal("0.90"), 30 * 100 * Decimal("5") / 1000
    assert costs_by(month, "resource") == {
        "local_cpu_second": cpu,
        "local_disk_gb_month": storage,
        "answer": answers,
    }
    assert (cpu, answers) == (Decimal("108.90"), Decimal("15"))
    assert costs_by(month, "all") == {"all": Decimal("124.80")}


def test_every_part_of_the_month_has_its_share(month: World) -> None:
    second = 15 * Decimal("0.03")  # one second on each day
    assert costs_by(month, "asset") == {
        "marts/fct_events": 30 * second,
        "staging/stg_segment__events": 10 * second,
        "models/blend": 150 * second,
        "models/evaluation": 50 * second,
        "landing/engagement_events": Decimal("0.90"),
        "not attributed": 2 * second + 15,
    }
    assert costs_by(month, "stage") == {
        "transformation": 40 * second,
        "training": 200 * second,
        "storage": Decimal("0.90"),
        "serving": 15,
        "not attributed": 2 * second,
    }
    # Of 100 answers a day 50, 20 and 10 were shown; the blend was trained besides.
    assert costs_by(month, "surface") == {
        "home": Decimal("10.5"),
        "search": Decimal("1.5"),
        "not attributed": Decimal("112.8"),
    }
    assert costs_by(month, "model") == {
        "blend": Decimal("7.5") + 150 * second,
        "popularity": Decimal("4.5"),
        "not attributed": Decimal("124.8") - 12 - 150 * second,
    }
    assert costs_by(month, "variant") == {
        "trial/treatment": Decimal("7.5"),
        "trial/control": 3,
        "not attributed": Decimal("114.3"),
    }
    assert costs_by(month, "run")["build-0"] == Decimal("0.42")


def test_unit_costs_of_a_day_are_its_costs_by_its_units(month: World) -> None:
    """The last day: 242 seconds at 2 cents, a thirtieth of 90 cents, 100 answers at half a cent."""
    [row] = month.rows(
        "select cost, runs, recommendations, active_readers, cost_per_run, cost_per_1000_recommendations, cost_per_active_reader"
        f" from marts.rpt_cost_daily where cost_on = date '{LAST}' and segmented_by = 'all'"
    )
    total = 4.84 + 0.03 + 0.5
    assert [float(value) for value in row] == pytest.approx([total, 2, 80, 4, total / 2, total / 80 * 1000, total / 4])
    search = month.rows(
        "select cost_per_1000_recommendations from marts.rpt_cost_daily"
        f" where cost_on = date '{LAST}' and segmented_by = 'surface' and segment = 'search'"
    )
    assert search == [(5.0,)]


def test_the_tests_of_the_marts_hold_and_find_a_price_that_is_missing(month: World) -> None:
    chosen = ("test", "--select", *MARTS)
    assert failures(month.dbt(*chosen)) == []
    with month.connect() as con:
        con.execute("begin")
        con.execute("delete from staging.prices where resource = 'answer'")
        unpriced = con.execute("select count(*), sum(cost) from marts.fct_costs where unit_price is null").fetchone()
        con.execute("rollback")
    assert unpriced == (4 * DAYS, 0)


def test_a_report_that_is_collected_again_changes_nothing(month: World) -> None:
    warehouse = DuckDBWarehouse(month.home / "warehouse.duckdb")
    before = month.rows("select * from ops.cost_of_runs order by all")
    replace_usage(warehouse, usage_rows(list(reports())[:7]))
    collect_storage(warehouse, "local", LAST)
    assert month.rows("select * from ops.cost_of_runs order by all") == before


def test_the_figures_list_the_dearest_assets_and_what_a_unit_costs(month: World) -> None:
    warehouse = DuckDBWarehouse(month.home / "warehouse.duckdb")
    found = cost_figures(warehouse, Settings(), LAST)
    assert float(found.total) == pytest.approx(124.80)
    assert spent_between(warehouse, FIRST, LAST) == found.total
    assert [(each.asset, each.runs) for each in found.dearest] == [
        ("models/blend", 30),
        ("models/evaluation", 30),
        ("marts/fct_events", 30),
        ("staging/stg_segment__events", 30),
        ("landing/engagement_events", 0),
    ]
    assert found.cost_per_active_reader == pytest.approx(124.80 / 20)
    assert found.cost_per_1000_recommendations == pytest.approx(124.80 / 2400 * 1000)
    # The day before last lies in another window: its costs are those of one day alone.
    assert float(cost_figures(warehouse, Settings(), FIRST, days=1).total) == pytest.approx(2.42 + 0.03 + 0.5)


@pytest.mark.slow
def test_the_command_collects_and_says_what_is_dearest(month: World, tmp_path: Path) -> None:
    home = Path(shutil.copytree(month.home, tmp_path / "home"))
    code, said = said_by("costs", "--days", "3000", "--json", home=home, BUDGET_MONTH="100")
    found = json.loads(said)
    assert code == 0
    assert [each["asset"] for each in found["dearest"]][:2] == ["models/blend", "models/evaluation"]
    assert sum(each["cost"] for each in found["days"]) == pytest.approx(found["total"])
    assert found["total"] >= 124.80  # what landed is still stored today
    assert "A full rebuild (`recsys run --all`) of 500 records would cost about $4.8" in said_by("costs", home=home)[1]
