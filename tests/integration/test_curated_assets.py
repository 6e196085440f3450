"""Curated Parquet and the catalog as Dagster runs them, on a world small enough to know all of it."""

import datetime as dt
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest

from recsys_platform.catalog.tables import LocalCatalog
from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.hub.layout import attributes_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

FRIDAY, SATURDAY = dt.date(2026, 11, 20), dt.date(2026, 11, 21)
ASSETS = [dg.AssetKey(key) for key in (["curated", "fct_events"], ["curated", "fct_sessions"], ["hub", "catalogue"])]
Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> tuple[Path, dg.Definitions]:
    home = tmp_path_factory.mktemp("home")
    return home, build_defs(load_settings({"RECSYS_HOME": str(home)}))


@pytest.fixture
def run(job) -> Run:
    _, defs = job

    return lambda *assets: executed(defs, assets or ASSETS)


def executed(defs: dg.Definitions, assets: Sequence[dg.AssetKey]) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("refresh").execute_in_process(
            instance=instance, asset_selection=list(assets), raise_on_error=False
        )


@pytest.fixture
def books(job) -> Callable[..., None]:
    hub = FolderHub(job[0] / "hub")

    def snapshot(day: dt.date, **more: object) -> None:
        lines = "\n".join(json.dumps({"book_id": f"b{n}"} | more) for n in range(150))
        hub.put(attributes_key("book_attributes", day), gzip.compress(lines.encode(), mtime=0))

    return snapshot


@pytest.fixture
def marts(job) -> Callable[..., None]:
    warehouse = DuckDBWarehouse(job[0] / "warehouse.duckdb")
    warehouse.prepare()

    def build(*days: dt.date) -> None:
        rows = ", ".join(f"('e{n}', date '{day}')" for n, day in enumerate(days))
        with warehouse.connect() as con:
            con.execute(
                "create or replace table marts.fct_events as select event_id, occurred_on, 'h' as ip_hash,"
                f" occurred_on::timestamp as occurred_at from (values {rows}) as t(event_id, occurred_on)"
            )
            con.execute(
                "create or replace table marts.fct_sessions as select event_id as session_id, occurred_on as started_on,"
                " occurred_at as started_at from marts.fct_events"
            )

    return build


def metadata(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    made = result.asset_materializations_for_node("curated_days" if key.startswith("curated") else "hub__catalogue")
    (found,) = [each for each in made if each.asset_key.to_user_string() == key]
    return dict(found.metadata)


def figures(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    return {name: value.value for name, value in metadata(result, key).items()}


def tables(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The catalog's overview by table."""
    return {record.data["table"]: record.data for record in metadata(result, "hub/catalogue")["tables"].records}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_days_are_written_recorded_and_left_alone_and_a_changed_field_is_a_warning(job, run, marts, books):
    home, _ = job
    marts(FRIDAY, FRIDAY, SATURDAY)
    books(FRIDAY, author="Ada")
    first = run()
    assert first.success
    assert figures(first, "curated/fct_events")["days_written"] == 2
    assert figures(first, "curated/fct_events")["dagster/row_count"] == 3
    assert check(first).passed
    frame = pd.read_parquet(home / "hub/curated/fct_events")
    assert len(frame) == 3
    assert "ip_hash" not in frame.columns

    marts(FRIDAY, FRIDAY, SATURDAY, SATURDAY)  # a late event
    books(SATURDAY, isbn="1")
    second = run()
    assert second.success
    assert figures(second, "curated/fct_events")["first_written"] == ["2026-11-21"]
    told = check(second)
    assert (told.passed, told.severity, told.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert told.description == "landing/book_attributes: added: isbn; removed: author"
    assert [record.data for record in told.metadata["changes"].records] == [
        {"table": "landing/book_attributes", "change": "added", "field": "isbn", "types": ""},
        {"table": "landing/book_attributes", "change": "removed", "field": "author", "types": ""},
    ]
    assert tables(second)["landing/book_attributes"]["version"] == 2
    assert tables(second)["curated/fct_events"]["days"] == 2

    third = run()
    assert figures(third, "curated/fct_events")["days_written"] == 0
    assert check(third).description == told.description


def test_one_table_can_be_written_alone(run, marts):
    marts(FRIDAY)
    done = run(ASSETS[1])
    assert done.success
    assert [each.asset_key for each in done.asset_materializations_for_node("curated_days")] == [ASSETS[1]]


def test_a_stray_is_told_and_the_catalog_goes_on(job, run, books):
    books(FRIDAY)
    stray = job[0] / "hub/book_attributes/notes.txt"
    stray.write_text("")
    done = run(ASSETS[2])
    stray.unlink()
    assert done.success
    assert figures(done, "hub/catalogue")["not_read"] == ["book_attributes/notes.txt"]


def test_what_spoils_the_catalog_is_said_in_one_sentence(job, run):
    torn = job[0] / "hub/curated/t/dt=2026-11-20/part-00000.parquet"
    torn.parent.mkdir(parents=True)
    torn.write_text("PAR?")
    done = run(ASSETS[2])
    torn.unlink()
    (failure,) = [event.step_failure_data for event in done.all_events if event.is_step_failure]
    assert failure.user_failure_data.description == (
        "curated/t/dt=2026-11-20/part-00000.parquet is not Parquet: remove it, and it is written again."
    )


@pytest.mark.slow
def test_on_the_whole_road_every_table_is_recorded_and_nobody_can_be_found_in_it(world):
    hub = FolderHub(world / "hub")
    assert len(LocalCatalog(hub).tables()) == 10
    files = [hub.path(item.key) for item in hub.objects("curated/")]
    rows = "\n".join(str(row) for file in files for row in pq.read_table(file).to_pylist())
    documents = "\n".join(hub.get(item.key).decode() for item in hub.objects("catalogue/"))
    assert not [found for found in ("@readers.example", "198.51.") if found in rows + documents]
    events = DuckDBWarehouse(world / "warehouse.duckdb").frame("select count(*) as n from marts.fct_events")["n"][0]
    assert len(pd.read_parquet(hub.path("curated/fct_events"))) == events.as_py()
    before = hub.objects("curated/"), hub.objects("catalogue/")
    assert executed(build_defs(load_settings({"RECSYS_HOME": str(world)})), ASSETS).success
    assert (hub.objects("curated/"), hub.objects("catalogue/")) == before
