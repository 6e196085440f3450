"""Costs from the event log to the budget: what steps use, collecting it, a rebuild that is refused, the sizing page."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from recsys_platform.common.errors import BudgetError, InputError, WarehouseError
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.pools import REBUILD
from recsys_platform.defs.reports.cost_of_runs import CHECK, EXCEEDED, collect_costs, cost_of_runs
from recsys_platform.defs.reports.step_meter import COST_OF_RUNS, measured_steps, measuring_executor, task_size
from recsys_platform.hub.local import FolderHub
from recsys_platform.reports.costs.budget import require_budget
from recsys_platform.reports.costs.figures import cost_figures
from recsys_platform.reports.costs.rebuild import estimate_of, rebuild_estimate
from recsys_platform.reports.costs.sizing import Assumptions, Prices, monthly_cost, parse_events, read_prices
from recsys_platform.reports.costs.usage import COSTS, collect_storage
from recsys_platform.transform.dbt import ROOT
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import said_by
from tests.support.rest_server import Answer, server

NOW = dt.datetime.now(dt.UTC)
TODAY = NOW.date()


def burn(seconds: float) -> None:
    """Use so much CPU."""
    import time

    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


@dg.asset(key=["training", "cheap"])
def cheap() -> None: ...


@dg.multi_asset(specs=[dg.AssetSpec(["models", "dear"]), dg.AssetSpec(["models", "dearer"])], name="dear_ones")
def dear_ones() -> Iterator[dg.MaterializeResult]:
    burn(0.4)
    yield dg.MaterializeResult(asset_key=["models", "dear"], metadata={"Execution Duration": 1.0})
    yield dg.MaterializeResult(asset_key=["models", "dearer"], metadata={"Execution Duration": 3.0})


@dg.asset(key=["training", "broken"])
def broken() -> None:
    raise ValueError("no")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"RECSYS_HOME": str(tmp_path)})


def run(instance: dg.DagsterInstance, *assets: Any, run_id: str, **tags: str) -> None:
    """Run assets as `recsys run` does."""
    job = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("refresh")]).resolve_job_def("refresh")
    with measured_steps(instance, run_id, "local"):
        job.execute_in_process(instance=instance, run_id=run_id, tags=tags, raise_on_error=False)


def quantities(warehouse: DuckDBWarehouse, resource: str) -> dict[tuple[str, str | None, str | None], float]:
    found = warehouse.frame(
        f"select run_id, step, asset, quantity from {COSTS} where resource = ?", [resource]
    ).to_pylist()
    return {(row["run_id"], row["step"], row["asset"]): row["quantity"] for row in found}


RUN = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"


def test_steps_report_what_they_use_and_assets_have_their_share_of_it(
    instance: dg.DagsterInstance, warehouse: DuckDBWarehouse, settings: Settings
) -> None:
    run(instance, cheap, dear_ones, run_id=RUN)
    collect_costs(instance, warehouse, settings, NOW)
    cpu = quantities(warehouse, "local_cpu_second")
    dear, dearer = cpu[RUN, "dear_ones", "models/dear"], cpu[RUN, "dear_ones", "models/dearer"]
    assert dear + dearer > 0.39  # of .4 that they burn: clocks of processes tick
    assert dearer == pytest.approx(3 * dear)
    assert cpu[RUN, "training__cheap", "training/cheap"] < dear + dearer
    assert cpu[RUN, None, None] > 0  # outside of steps
    assert quantities(warehouse, "seconds").keys() == cpu.keys()


def test_a_step_that_fails_costs_too_and_a_rebuild_says_so(
    instance: dg.DagsterInstance, warehouse: DuckDBWarehouse, settings: Settings
) -> None:
    run(instance, broken, run_id=RUN, **{REBUILD: "all"})
    collect_costs(instance, warehouse, settings, NOW)
    assert (RUN, "training__broken", None) in quantities(warehouse, "local_cpu_second")
    assert warehouse.frame(f"select distinct is_rebuild from {COSTS}").to_pylist() == [{"is_rebuild": True}]


def test_runs_of_the_daemon_are_measured_by_the_executor_of_all_jobs(
    instance: dg.DagsterInstance, warehouse: DuckDBWarehouse, settings: Settings
) -> None:
    built = dg.Definitions(
        assets=[cheap], jobs=[dg.define_asset_job("refresh")], executor=measuring_executor("aws")
    ).get_repository_def()
    job = built.get_job("refresh")
    run = instance.create_run_for_job(job)
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run

    assert execute_run(InMemoryJob(job), run, instance).success
    collect_costs(instance, warehouse, settings, NOW)
    seconds = quantities(warehouse, "seconds")[run.run_id, "training__cheap", "training/cheap"]
    cores = quantities(warehouse, "fargate_vcpu_second")[run.run_id, "training__cheap", "training/cheap"] / seconds
    assert cores >= 1
    assert quantities(warehouse, "local_cpu_second") == {}


@dg.asset(key=["training", "second_time"], retry_policy=dg.RetryPolicy(max_retries=1))
def second_time(context: dg.AssetExecutionContext) -> None:
    if not context.retry_number:
        raise dg.RetryRequested(max_retries=1)
    burn(0.2)


def test_the_attempt_that_succeeds_is_measured_too(
    instance: dg.DagsterInstance, warehouse: DuckDBWarehouse, settings: Settings
) -> None:
    run(instance, second_time, run_id=RUN)
    collect_costs(instance, warehouse, settings, NOW)
    assert quantities(warehouse, "local_cpu_second")[RUN, "training__second_time", "training/second_time"] > 0.19


def test_on_ecs_the_size_of_the_task_is_paid_for_and_not_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"Limits": {"CPU": 0.5, "Memory": 1024}}
    task_size.cache_clear()
    with server(lambda asked: Answer(limits if asked.path.endswith("/task") else {})) as ecs:
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", ecs.endpoint.url)
        assert task_size() == (0.5, 1.0)
    task_size.cache_clear()  # the endpoint is away
    assert task_size()[0] == psutil.cpu_count()
    task_size.cache_clear()


def test_collecting_reads_only_what_is_new_and_changes_nothing_else(
    instance: dg.DagsterInstance, warehouse: DuckDBWarehouse, settings: Settings
) -> None:
    run(instance, cheap, run_id=RUN)
    collect_costs(instance, warehouse, settings, NOW)
    before = warehouse.frame(f"select * from {COSTS} order by all")
    collect_costs(instance, warehouse, settings, NOW)
    assert warehouse.frame(f"select * from {COSTS} order by all") == before
    with warehouse.connect() as con:  # a run of long ago is not read again
        con.execute(
            f"update {COSTS} set started_at = started_at + interval 1 day, ended_at = ended_at + interval 1 day"
        )
    run(instance, cheap, run_id=OTHER)
    assert collect_costs(instance, warehouse, settings, NOW)[0] == 0


def test_storage_is_paid_for_by_the_day_and_gets_cheaper_with_age(warehouse: DuckDBWarehouse) -> None:
    """Two GB on the first day, one more after 60 days; AWS moves what is 60 days old to infrequent access."""
    first = dt.date(2026, 1, 1)
    with warehouse.connect() as con:
        for key, gb, day in (("a", 2, first), ("b", 1, first + dt.timedelta(days=60))):
            con.execute(f"insert into ops.load_ledger values ('{key}', 'e', {gb * 1024**3}, 1, 1, 0, ?)", [day])
    collect_storage(warehouse, "aws", first + dt.timedelta(days=1))
    collect_storage(warehouse, "aws", first + dt.timedelta(days=60))
    collect_storage(warehouse, "aws", first + dt.timedelta(days=60))
    found = warehouse.frame(
        f"select resource, sum(quantity) as n from {COSTS} where asset = 'landing/engagement_events' group by 1 order by 1"
    ).to_pylist()
    expected = {"s3_ia_gb_month": 2 / 30, "s3_put": 2, "s3_standard_gb_month": (60 * 2 + 1) / 30}
    assert {row["resource"]: row["n"] for row in found} == pytest.approx(expected)


def test_what_the_bucket_has_deleted_costs_nothing(warehouse: DuckDBWarehouse) -> None:
    """30 GB are kept for 90 days, so that they are paid for on 90 days, 60 of them at the price of the first class."""
    first = dt.date(2026, 1, 1)
    with warehouse.connect() as con:
        con.execute(f"insert into ops.load_ledger values ('a', 'e', {30 * 1024**3}, 1, 1, 0, ?)", [first])
    collect_storage(warehouse, "aws", first + dt.timedelta(days=200), keep_days=90)
    found = warehouse.frame(f"select resource, sum(quantity) as n from {COSTS} group by 1 order by 1").to_pylist()
    assert [(row["resource"], round(row["n"])) for row in found] == [
        ("s3_ia_gb_month", 30),
        ("s3_put", 1),
        ("s3_standard_gb_month", 60),
    ]


def build(hour: int, cost: float, before: int | None = None, *, is_rebuild: bool = False) -> dict[str, Any]:
    """A build at an hour, after one at the hour `before`; usage is measured since hour 1."""
    return {
        "step": "dbt_models",
        "stage": "transformation",
        "is_rebuild": is_rebuild,
        "started_at": dt.datetime(2026, 11, 1, hour),
        "previous_at": None if before is None else dt.datetime(2026, 11, 1, before),
        "measured_since": dt.datetime(2026, 11, 1, 1),
        "cost": cost,
        "seconds": 10 * cost,
    }


def load(hour: int, records: int) -> dict[str, Any]:
    return {"loaded_at": dt.datetime(2026, 11, 1, hour), "records": records}


def test_a_rebuild_is_estimated_by_records_and_by_the_newest_cost_of_what_reads_everything() -> None:
    """Builds of 100 and 300 records cost 3 and 7: one and two cents a record. So 400 cost 9, and training its newest 5."""
    train = [{**build(hour, cost), "step": "models__blend", "stage": "training"} for hour, cost in ((3, 4), (6, 5))]
    old = {**build(0, 99), "step": "models__gone", "stage": "training", "started_at": dt.datetime(2026, 1, 1)}
    found = estimate_of([build(2, 3), build(5, 7, 2), *train, old], LOADS)
    assert found
    assert (found.usd, found.seconds, found.records, found.note) == (Decimal("14.0"), 140, 400, "")
    # With one build alone, so much a record.
    assert usd_of(build(2, 3)) == 12
    # A rebuild read everything that was there.
    assert usd_of(build(2, 3), build(5, 9, 2, is_rebuild=True)) == 9


LOADS = [load(1, 100), load(4, 300)]


def usd_of(*builds: dict[str, Any]) -> Decimal | None:
    found = estimate_of(builds, LOADS)
    return found and found.usd


def test_a_first_build_that_was_measured_read_everything_only_if_nothing_was_loaded_before() -> None:
    """A world older than its measurements: 100 records were loaded in hour 0, and the first build that was measured read few."""
    older = [load(0, 100), load(4, 300), load(6, 100)]
    assert estimate_of([build(2, 3)], older) is None
    found = estimate_of([build(2, 3), build(5, 7, 2)], older)
    assert found
    assert (found.usd, found.is_extrapolated) == (Decimal(str(round(7 * 500 / 300, 9))), True)
    assert found.note.startswith(" This is rough: no build of everything was measured")
    # Of two builds of new records there is a line: 5 at 100 records, 7 at 300.
    found = estimate_of([build(2, 3), build(5, 7, 2), build(7, 5, 5)], older)
    assert found
    assert found.usd == 9
    # What costs the same for all records has no line; and no rebuild is cheaper than the dearest build.
    found = estimate_of([build(2, 99), build(5, 7, 2), build(7, 7, 5)], older)
    assert found
    assert found.usd == 99


def test_a_build_that_repeated_another_one_and_a_far_extrapolation_do_not_bend_the_line() -> None:
    """400 M records were never built in one measured run; three builds of about a million cost a dollar, and so did a repeated one."""
    million = 1_000_000
    loads = [load(0, 397 * million), load(2, million), load(4, million), load(6, million)]
    builds = [build(1, 0.9), build(3, 1.0, 1), build(5, 1.05, 3), build(7, 0.95, 5)]
    found = estimate_of(builds, loads)
    assert found
    assert found.usd == Decimal("420.0")  # the dearest million, 400 times
    again = estimate_of([*builds, build(8, 1.0, 7)], loads)
    assert again
    assert again.usd == found.usd


def test_the_estimate_stays_after_hundreds_of_builds(warehouse: DuckDBWarehouse) -> None:
    """The first build read 1,000 records for $66, and 300 that followed none for 5 cents each."""
    begin = dt.datetime(2026, 11, 1)
    with warehouse.connect() as con:
        con.execute("create schema if not exists marts")
        con.execute(f"insert into ops.load_ledger values ('k', 'e', 1, 1000, 1000, 0, timestamp '{begin}')")
        con.execute(
            f"""insert into ops.cost_of_runs
            select 'r' || n || '/0', 'r' || n, 'refresh', 'dbt_models', 'marts/a', false, 'seconds',
                case when n = 0 then 660 else 1 end,
                date '2026-11-01', timestamp '{begin}' + interval (n) minute, timestamp '{begin}' + interval (n) minute
            from range(301) as numbers(n)"""
        )
        con.execute(
            """create view marts.fct_costs as select run_id, step, started_at, 'transformation' as stage,
            case when run_id = 'r0' then 66 else 0.05 end as cost from ops.cost_of_runs"""
        )
    found = rebuild_estimate(warehouse)
    assert found
    assert float(found.usd) == pytest.approx(66)
    assert not found.is_extrapolated


COSTS_OF_A_REBUILD = """
    create view marts.fct_costs as select 'r' as run_id, 'dbt_models' as step, timestamp '{day} 00:00:00' as started_at,
        'transformation' as stage, false as is_rebuild, 60.0 as cost;
    create view marts.rpt_cost_daily as select 'all' as segmented_by, 'all' as segment, cast(60 as decimal(18, 9)) as cost,
        date '{day}' as cost_on;
    insert into ops.cost_of_runs values ('r/0', 'r', 'refresh', 'dbt_models', null, false, 'seconds', 90, date '{day}',
        timestamp '{day} 00:00:00', timestamp '{day} 00:01:30')"""


@pytest.fixture
def spent(warehouse: DuckDBWarehouse) -> DuckDBWarehouse:
    """This month cost $60, for one build of everything."""
    with warehouse.connect() as con:
        con.execute("create schema if not exists marts")
        con.execute(COSTS_OF_A_REBUILD.format(day=TODAY))
    return warehouse


def with_budget(tmp_path: Path, usd: str, refuses: str = "on") -> Settings:
    return load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_BUDGET_MONTH": usd, "RECSYS_BUDGET_REFUSES": refuses})


def test_a_budget_refuses_a_rebuild_that_exceeds_it_in_one_sentence(spent: DuckDBWarehouse, tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as error:
        require_budget(spent, with_budget(tmp_path, "100"), TODAY)
    assert str(error.value) == (
        "A full rebuild would cost about $60.00, and $40.00 of this month's budget of $100.00 is left. "
        "Wait for the next month, raise RECSYS_BUDGET_MONTH, or rebuild anyway: `recsys run --all --over-budget`."
    )
    assert "$40.00 of this month's budget" in str(require_budget(spent, with_budget(tmp_path, "100", "off"), TODAY))
    assert require_budget(spent, with_budget(tmp_path, "120"), TODAY) is None
    with spent.connect() as con:  # no build was measured, and the budget is spent
        con.execute("drop view marts.fct_costs")
    assert require_budget(spent, with_budget(tmp_path, "100"), TODAY) is None
    with pytest.raises(BudgetError, match=r"costs what no build has told yet, and \$0 of this month's budget"):
        require_budget(spent, with_budget(tmp_path, "60"), TODAY)
    assert require_budget(spent, load_settings({"RECSYS_HOME": str(tmp_path)}), TODAY) is None


@pytest.mark.parametrize(
    ("usd", "is_within", "is_exceeded"),
    [("59", False, True), ("60", False, False), ("74", False, False), ("76", True, False)],
)
def test_a_budget_that_is_almost_spent_fails_the_check_that_alerts(
    spent: DuckDBWarehouse, instance: dg.DagsterInstance, tmp_path: Path, usd: str, is_within: bool, is_exceeded: bool
) -> None:
    """Four fifths of $74 are less than $60, those of $76 are more. Each limit is a check of its own, so that each alerts."""
    resources = {"warehouse": spent, "settings": with_budget(tmp_path, usd)}
    result = dg.materialize([cost_of_runs], instance=instance, resources=resources)
    check, exceeded = sorted(result.get_asset_check_evaluations(), key=lambda each: each.check_name == EXCEEDED)
    assert (exceeded.passed, exceeded.severity) == (not is_exceeded, dg.AssetCheckSeverity.ERROR)
    assert (check.check_name, check.passed, check.severity) == (CHECK, is_within, dg.AssetCheckSeverity.WARN)
    assert str(check.description).startswith("$60.00 spent this month: the budget of $")


@pytest.mark.slow
def test_a_full_rebuild_over_budget_starts_neither_by_command_nor_in_the_ui(
    spent: DuckDBWarehouse, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """It loads all definitions, since it is dbt's step and the command that must refuse."""
    for key in ("engagement_events/source=segment/2026/11/20/05/a.gz", "book_attributes/dt=2026-11-20/a.gz"):
        FolderHub(tmp_path / "hub").put(key, b"")
    budget = {"BUDGET_MONTH": "100", "BUDGET_REFUSES": "on"}
    code, said = said_by("run", "--all", home=tmp_path, **budget)
    assert code == 1
    assert said.endswith("or rebuild anyway: `recsys run --all --over-budget`.")
    assert spent.ledger("") == {}

    job = build_defs(with_budget(tmp_path, "100")).resolve_job_def("refresh")
    dates = [dg.AssetKey(["marts", "dim_dates"])]
    result = job.execute_in_process(
        instance=instance, asset_selection=dates, tags={REBUILD: "all"}, raise_on_error=False
    )
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert "A full rebuild would cost about $60.00" in str(failed.step_failure_data.error_display_string)


def test_costs_need_their_marts(warehouse: DuckDBWarehouse, settings: Settings) -> None:
    with pytest.raises(WarehouseError, match=r"There are no costs yet: run `recsys run`\."):
        cost_figures(warehouse, settings, TODAY)


def test_the_report_of_usage_is_on_no_asset_but_that_of_costs(instance: dg.DagsterInstance) -> None:
    run(instance, cheap, run_id=RUN)
    assert len(instance.fetch_observations(COST_OF_RUNS, limit=5).records) == 1
    assert instance.fetch_materializations(COST_OF_RUNS, limit=1).records == []


def test_a_month_at_a_million_events_a_day_costs_what_a_hand_computes() -> None:
    """Prices of a dollar for credits and requests, of nothing for all else; an event has a tenth of an answer."""
    usd = dict.fromkeys(json_resources(), 0.0) | {"snowflake_credit": 1.0, "api_request": 1.0, "waf_request": 0.5}
    found = monthly_cost(1_000_000, Prices({**usd, "personalize_recommendation": 2.0}), Assumptions())
    credits, requests = 30 * (96 * 2 / 60 + 0.06), 30 * 100_000
    by_part = {line.part: line.usd for line in found.lines}
    assert by_part["Snowflake"] == pytest.approx(credits)
    assert by_part["API Gateway and WAF"] == pytest.approx(1.5 * requests)
    assert by_part["all others"] == pytest.approx(0.1 * (credits + 1.5 * requests))
    assert found.usd == pytest.approx(1.1 * (credits + 1.5 * requests))
    assert found.recommender_usd == pytest.approx(1.5 * requests)
    assert found.personalize_usd == pytest.approx(2 * requests)


def json_resources() -> list[str]:
    rows = (ROOT / "seeds" / "prices.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [row.partition(",")[0] for row in rows]


def test_prices_are_those_that_hold_on_a_day(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(
        "resource,unit,per,usd,valid_from,source\ncredit,credit,1,2,2025-01-01,x\ncredit,credit,10,30,2026-01-01,x\n"
    )
    assert read_prices(dt.date(2025, 12, 31), path=path).cost(credit=5) == 10
    assert read_prices(dt.date(2026, 1, 1), path=path).cost(credit=5) == 15


@pytest.mark.parametrize("text", ["", "M", "-1M", "1T", "0"])
def test_a_number_of_events_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give it as 10M, 100M or 1B"):
        parse_events(text)


def test_the_sizing_page_says_what_the_command_computes() -> None:
    """Write the table anew with the lines that this test prints."""
    page = (ROOT.parent / "docs" / "costs.md").read_text(encoding="utf-8")
    found = [monthly_cost(parse_events(text), read_prices()) for text in ("10M", "100M", "1B")]
    lines = [
        f"| {line.part} | " + " | ".join(f"${each.lines[n].usd:,.0f}" for each in found) + " |"
        for n, line in enumerate(found[0].lines)
    ]
    lines += [
        "| **the whole platform** | " + " | ".join(f"**${each.usd:,.0f}**" for each in found) + " |",
        "| of it models, lists and API | " + " | ".join(f"${each.recommender_usd:,.0f}" for each in found) + " |",
        "| **Amazon Personalize** | " + " | ".join(f"**${each.personalize_usd:,.0f}**" for each in found) + " |",
    ]
    print("\n".join(lines))
    assert "\n".join(lines) in page


def test_the_command_prints_a_sizing_without_a_world(tmp_path: Path) -> None:
    code, said = said_by("costs", "--at", "100M", "--json", home=tmp_path / "none")
    assert (code, json.loads(said)["size"]) == (0, "medium")
    assert not (tmp_path / "none").exists()
