"""What the orchestrator costs, how long the first demo takes, and whether a run without news changes anything.

    python benchmarks/pipeline.py [--json] [--readers N --books M --days D] [--repeat R]

`dagster_overhead`: the whole job in process, from the first asset to the last, ÷ the same functions called from a plain script, on the
same fresh world, in turns; median of the pairs. Imports count for neither, and neither parses the dbt project: both call
`recsys-dbt`. `demo_seconds`: `recsys demo` as a whole process, imports included. `rerun_changes`: rows that differ after a run
without new data and after a rebuild of everything.
"""

import argparse
import contextlib
import datetime as dt
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from measure import Budget, keeps_all, show, watch

from recsys_platform.catalog.schema_history import record_tables
from recsys_platform.catalog.snapshot_drift import snapshot_drift
from recsys_platform.catalog.tables import LocalCatalogue
from recsys_platform.config.factories import hub_of, prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.run import Refresher
from recsys_platform.defs.training.assets import EVALUATION, GATE
from recsys_platform.defs.transform.assets import BUILD, NOT_OURS, environment_for_dbt
from recsys_platform.defs.transform.project import OUR_DBT, ROOT
from recsys_platform.exports.daily_export import DAILY_TABLES, keep_days
from recsys_platform.hub.layout import ID_FIELDS, attributes_prefix
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.ingestion.reconciliation import account, conserved_events, damaged_objects
from recsys_platform.recommender.data import training_data as curated
from recsys_platform.recommender.evaluation.results import keep, measured_on
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.publication import publish
from recsys_platform.recommender.registry.promotion import judge
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.recommender.training.candidates import candidates_of, evaluate_variants, live_recipe, train
from recsys_platform.recommender.training.variants import load_variants
from recsys_platform.reports.evaluation_plots import evaluation_plot
from recsys_platform.simulation.server import running_server
from recsys_platform.simulation.simulate import simulate
from recsys_platform.sources.attributes import fetch_snapshot, last_fetch, store_fetched
from recsys_platform.sources.rest_client import Endpoint
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy

RECSYS = Path(sys.executable).with_name("recsys")
BUDGET = {"dagster_overhead": Budget("≤", 1.25), "demo_seconds": Budget("≤", 120), "rerun_changes": Budget("≤", 0)}


def by_script(settings: Settings) -> None:
    """The functions behind the assets, one after another."""
    hub, warehouse, registry = (
        hub_of(settings),
        DuckDBWarehouse(settings.warehouse_path),
        Registry(settings.models_root),
    )
    today, now = dt.datetime.now(dt.UTC).date(), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    warehouse.prepare()
    for kind, url in (("user_attributes", settings.users_url), ("book_attributes", settings.books_url)):
        endpoint = Endpoint(str(url), ID_FIELDS[kind])
        store_fetched(hub, kind, today, endpoint, fetch_snapshot(endpoint, last_fetch(hub, kind, endpoint)))
        snapshot_drift(hub, kind, today)
        load_snapshot(hub, warehouse, kind, today, hub.objects(attributes_prefix(kind, today)))
    load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
    account(warehouse), damaged_objects(warehouse)
    with environment_for_dbt(settings):
        subprocess.run(
            [OUR_DBT, *BUILD, "--exclude", *NOT_OURS.split()],
            cwd=ROOT,
            env={**os.environ, "DBT_TARGET_PATH": str(settings.home / "dbt")},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    conserved_events(warehouse)
    day = warehouse.frame(curated.NEWEST_DAY)["day"][0].as_py()
    curated.keep(hub, day, {name: warehouse.frame(sql) for name, sql in curated.MARTS.items()})
    data = curated.newest_dataset(hub)
    variants, live = live_recipe(load_variants(), registry)
    result = evaluate_variants(data, variants=variants, params=EVALUATION, live=live)
    evaluation_plot(result)
    keep(result, data.fingerprint(), warehouse, now)
    for name in variants:
        train(name, curated.newest_dataset(hub), registry, variants=variants, now=now)
    measured = measured_on(data.fingerprint(), warehouse)
    judge(candidates_of(data, variants, live, registry, now), live, measured, registry, GATE)
    publish(
        curated.newest_marts(hub),
        registry,
        warehouse,
        list_length=settings.list_length,
        now=now,
        variants=load_variants(),
        rules=ListRules(),
    )
    write_reading_copy(warehouse, settings.analytics_path)
    for table in DAILY_TABLES:
        keep_days(hub, warehouse, table)
    record_tables(hub, LocalCatalogue(hub))


def by_dagster(settings: Settings) -> None:
    """The same through the job on the world's instance."""
    defs = build_defs(settings)
    refresher = Refresher(
        outline_of(defs),
        lambda: defs,
        settings,
        hub=hub_of(settings),
        warehouse=DuckDBWarehouse(settings.warehouse_path),
        listener=lambda *_: None,
    )
    with instance_of(settings) as instance, contextlib.redirect_stdout(io.StringIO()):
        report = refresher.run(instance)
    assert not report.failures, report.failures


def overhead(scratch: Path, size: dict[str, int], repeat: int) -> tuple[float, float, float]:
    """Median seconds of the script and of the job, and the median of their ratios pair by pair."""
    template = scratch / "template"
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    simulate(FolderHub(template / "hub"), **size, seed=7, end=yesterday, truth_dir=template / "truth")
    pairs = []
    with running_server(template / "truth") as url:
        for turn in range(repeat + 1):  # the first turn warms imports and the page cache, and does not count
            pairs.append(
                [timed(work, template, scratch / f"{work.__name__}-{turn}", url) for work in (by_script, by_dagster)]
            )
    script, job = zip(*pairs[1:], strict=True)
    return statistics.median(script), statistics.median(job), statistics.median(j / s for s, j in pairs[1:])


def timed(work: Callable[[Settings], None], template: Path, home: Path, url: str) -> float:
    """Seconds of one way to run a fresh copy of the world."""
    shutil.copytree(template, home)
    settings = load_settings(
        {"RECSYS_HOME": str(home), "RECSYS_USERS_URL": f"{url}/users", "RECSYS_BOOKS_URL": f"{url}/books"}
    )
    prepare_home(settings)
    started = time.perf_counter()
    work(settings)
    return time.perf_counter() - started


def demo(scratch: Path) -> tuple[float, int]:
    """Seconds of a first demo, and how many rows a run without news and a rebuild of everything change."""
    home = scratch / "demo"
    seconds = watch([RECSYS, "demo"], {"RECSYS_HOME": str(home)}).seconds
    before = rows_of(home)
    changes = 0
    for again in (["run"], ["run", "--all"]):
        watch([RECSYS, *again], {"RECSYS_HOME": str(home)})
        after = rows_of(home)
        changes += sum(len(before[name] ^ after.get(name, set())) for name in before)
    return seconds, changes


def rows_of(home: Path) -> dict[str, set[tuple[object, ...]]]:
    """A hash of every row, with how often it stands there, of every table and view."""
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    names = warehouse.frame(
        "select table_schema || '.' || table_name as name from information_schema.tables"
        " where table_schema in ('raw', 'staging', 'intermediate', 'marts', 'published', 'ops')"
    )["name"].to_pylist()
    return {
        name: {
            tuple(row.values())
            for row in warehouse.frame(f"select hash(t) as h, count(*) as n from {name} as t group by 1").to_pylist()
        }
        for name in names
    }


def main() -> None:
    """Measure, print, and exit with 1 where a budget is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    for name, value in (("readers", 2000), ("books", 600), ("days", 30), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        size = {"readers": given.readers, "books": given.books, "days": given.days}
        script, job, ratio = overhead(Path(folder), size, given.repeat)
        seconds, changes = demo(Path(folder))
    figures = {
        "script_seconds": script,
        "job_seconds": job,
        "dagster_overhead": ratio,
        "demo_seconds": seconds,
        "rerun_changes": changes,
    }
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
