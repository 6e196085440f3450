"""What KPIs cost on DuckDB, at the size of the demo and at a multiple of it, in seconds of CPU of all threads.

    python benchmarks/kpis.py                             # makes a demo world first
    python benchmarks/kpis.py --home .recsys --times 100  # of a demo that was run before; it is copied

`kpi_share_percent`: what the KPI marts add to a dbt build of the demo from nothing, tests included, against a build without them; both
are run in turns, `--repeat` times, and the medians are compared. `marts_1x`, `marts_100x`: dbt makes the KPI marts from nothing.
`scorecard_…`: the query behind `recsys kpis`. `page_…`: the content and the text of the page of `recsys report`. A world of more
readers is the same world several times: readers, devices, sessions, events and requests have other ids in each, books are the same.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Budget, cpu_seconds, keeps_all, show

from recsys_platform.common.clock import utc_now
from recsys_platform.config.dbt_profile import variables_for_dbt
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.reports.kpi_page import collect_content
from recsys_platform.defs.transform.project import DBT, ROOT
from recsys_platform.reports.kpi_page.page import kpi_page
from recsys_platform.reports.kpis import kpi_scorecard
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

RECSYS = Path(sys.executable).with_name("recsys")
MARTS = (
    "fct_payments",
    "fct_subscriptions",
    "fct_reader_months",
    "rpt_active_readers",
    "rpt_retention_cohorts",
    "rpt_catalog_coverage",
    "rpt_kpi_scorecard",
)
SEEDS = ("exchange_rates", "kpi_inputs", "kpi_targets")
PARENTS = (
    "marts.fct_events",
    "marts.fct_exposures",
    "marts.fct_sessions",
    "marts.dim_users",
    "marts.dim_users_history",
    "intermediate.int_visitor_days",
)
"""What the KPI marts are made of, all but the item catalog and the calendar."""
IDS = ("event_id", "user_id", "visitor_id", "anonymous_id", "session_id", "request_id", "draw_id")
BUDGET = {"kpi_share_percent": Budget("≤", 10)}


def settings_of(home: Path) -> Settings:
    """The settings of a home."""
    return load_settings({"RECSYS_HOME": str(home)})


def demo_home(folder: Path) -> Path:
    """The home of a new demo."""
    home = folder / "demo"
    environment = os.environ | {"RECSYS_HOME": str(home)}
    subprocess.run([str(RECSYS), "demo"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return home


def copied(home: Path, folder: Path) -> Settings:
    """The settings of a copy of a world's warehouse and configuration."""
    folder.mkdir(parents=True)
    shutil.copy(home / "warehouse.duckdb", folder)
    return settings_of(folder)


def multiply(warehouse: DuckDBWarehouse, times: int) -> int:
    """Have the world several times in the tables behind KPIs; returns the number of events."""
    with warehouse.connect() as con:
        for table in PARENTS if times > 1 else ():
            columns = [name for name, *_ in con.sql(f"describe {table}").fetchall() if name in IDS]
            ids = ", ".join(f"{name} || '-' || copies.number as {name}" for name in columns)
            con.execute(
                f"insert into {table} by name select rows.* replace ({ids}) "
                f"from (select * from {table}) as rows, range(1, {times}) as copies(number)"
            )
        return int(con.execute("select count(*) from marts.fct_events").fetchall()[0][0])


def dbt(settings: Settings, *words: str) -> None:
    """Run dbt on a world."""
    folders = {f"DBT_{name}_PATH": str(settings.home / "target") for name in ("TARGET", "LOG")}
    environment = {**os.environ, **variables_for_dbt(settings), **folders}
    subprocess.run([str(DBT), "--quiet", *words], cwd=ROOT, env=environment, check=True)


def share_figures(home: Path, folder: Path, repeat: int) -> dict[str, float]:
    """CPU of builds from nothing with and without the KPI marts, and what they add."""
    settings = copied(home, folder)
    all_models = ["build", "--full-refresh"]
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    dbt(settings, "parse")
    for _ in range(repeat):
        seconds["without"].append(
            cpu_seconds(lambda: dbt(settings, *all_models, "--exclude", *MARTS, "int_subscription_events", *SEEDS))
        )
        seconds["with"].append(cpu_seconds(lambda: dbt(settings, *all_models)))
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    share = 100 * (medians["with"] / medians["without"] - 1)
    return {f"build_{name}": found for name, found in medians.items()} | {"kpi_share_percent": share}


def size_figures(home: Path, folder: Path, times: int) -> dict[str, float]:
    """CPU of the marts, of the scorecard and of the page with so many times the readers."""
    settings = copied(home, folder)
    events = multiply(DuckDBWarehouse(settings.warehouse_path), times)
    dbt(settings, "parse")
    marts = cpu_seconds(lambda: dbt(settings, "run", "--full-refresh", "--select", *MARTS))
    warehouse = warehouse_of(settings)

    def page() -> None:
        kpi_page(collect_content(settings, warehouse, None, utc_now()))

    figures = {
        "events": events,
        "marts": marts,
        "scorecard": cpu_seconds(lambda: kpi_scorecard(warehouse, months=3)),
        "page": cpu_seconds(page),
    }
    shutil.rmtree(folder)
    return {f"{name}_{times}x": value for name, value in figures.items()}


def main() -> None:
    """Measure, and print figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--home", type=Path, help="a finished demo world; by default one is made")
    options.add_argument("--times", type=int, default=100)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        home = given.home or demo_home(folder)
        figures = share_figures(home, folder / "share", given.repeat) if given.repeat else {}
        for times in (1, given.times):
            figures |= size_figures(home, folder / f"{times}x", times)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
