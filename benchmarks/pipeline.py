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
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from measure import Budget, keeps_all, show, watch

from recsys_platform.config.factories import hub_of, prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.run import Refresher
from recsys_platform.hub.local import FolderHub
from recsys_platform.pipeline import refresh
from recsys_platform.simulation.server import running_server
from recsys_platform.simulation.simulate import simulate
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

RECSYS = Path(sys.executable).with_name("recsys")
BUDGET = {"dagster_overhead": Budget("≤", 1.25), "demo_seconds": Budget("≤", 120), "rerun_changes": Budget("≤", 0)}


def by_script(settings: Settings) -> None:
    """The functions behind the assets, one after another."""
    refresh(settings)


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
