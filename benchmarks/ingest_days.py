"""What one more day costs in dbt after histories of several lengths: `incremental_growth` of `ingest.py`.

Belongs here: histories, the build of a day, seconds by model. Does not: the world (ingest_worlds.py), figures and budgets (ingest.py).

Each history ends on the same day and the days that follow are the same ones, so that only the past differs. Raw tables and built marts
are kept in the scratch folder; the marts are built anew when a file of the dbt project has changed.
"""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ingest_worlds import SNAPSHOTS, World, link_days, link_snapshots, newest_days
from measure import Measured, watch

from recsys_platform.defs.transform.project import DBT, ROOT
from recsys_platform.hub.layout import attributes_prefix
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.transform.dbt import BUILD, NOT_OURS
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.queries import row_counts

MORE_DAYS = 3
SHARES = {1: 0.1, 4: 0.4, 10: 1.0}  # of the world's days before the new ones, by bytes


@dataclass(frozen=True)
class History:
    """A home whose marts hold `records` records of `days` days."""

    home: Path
    days: int
    records: int

    @property
    def hub(self) -> Hub:
        """What this history, and nothing else, has landed."""
        return FolderHub(self.home / "hub")

    @property
    def warehouse(self) -> DuckDBWarehouse:
        """Raw and marts."""
        return DuckDBWarehouse(self.home / "warehouse.duckdb")


@dataclass(frozen=True)
class Day:
    """One more day's build: wall seconds, and seconds of each model, seed and test."""

    seconds: float
    peak_gb: float
    models: Mapping[str, float]


def days_after(
    world: World, scratch: Path, tell: Callable[[str], None]
) -> tuple[dict[int, History], dict[int, list[Day]]]:
    """Build the same days after each history, in turns; multiple → history, and multiple → its days."""
    new = world.days[-MORE_DAYS:]
    histories = {}
    for times, share in SHARES.items():
        tell(f"History {times}×…")
        histories[times] = history_of(world, scratch / f"history-{times}x", share, before=new[0])
    built: dict[int, list[Day]] = {times: [] for times in histories}
    for day in new:
        for times, history in histories.items():
            load_days(world, history, (day,))
            built[times].append(build(history))
            tell(f"{day} after history {times}×: {built[times][-1].seconds:.1f} s")
    return histories, built


def history_of(world: World, home: Path, share: float, *, before: dt.date) -> History:
    """Raw tables loaded once, marts built once for each state of the dbt project, both copied to where the days are added."""
    days = newest_days(world, share, before=before)
    history = History(home=home, days=len(days), records=0)
    raw, marts = home / "raw.duckdb", home / f"marts-{project_state()}.duckdb"
    shutil.rmtree(home / "hub", ignore_errors=True)
    link_days(world, history.hub, days)
    if not raw.exists():
        history.warehouse.path.unlink(missing_ok=True)
        load_days(world, history, days)
        shutil.copyfile(history.warehouse.path, raw)
    if not marts.exists():
        # What dbt keeps there names files of the project by their paths, and the project may have moved.
        shutil.rmtree(home / "dbt", ignore_errors=True)
        _start_from(raw, history)
        history.warehouse.prepare()
        build(history)
        for stale in home.glob("marts-*.duckdb"):
            stale.unlink()
        shutil.copyfile(history.warehouse.path, marts)
    _start_from(marts, history)
    records = row_counts(history.warehouse, ["raw.engagement_events"])["raw.engagement_events"]
    return History(home=home, days=len(days), records=records)


def _start_from(kept: Path, history: History) -> None:
    """A copy of a kept warehouse, without what a run that was broken off left beside the file."""
    history.warehouse.path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
    shutil.copyfile(kept, history.warehouse.path)


def load_days(world: World, history: History, days: tuple[dt.date, ...]) -> None:
    """Land and load some days, events and attribute snapshots, as the platform does."""
    warehouse, hub = history.warehouse, history.hub
    warehouse.prepare()
    link_snapshots(world, hub, days)
    for day in days:
        for kind in SNAPSHOTS:
            load_snapshot(hub, warehouse, kind, day, hub.objects(attributes_prefix(kind, day)))
    load_events(hub, warehouse, link_days(world, hub, days))


def build(history: History) -> Day:
    """`dbt build` as the platform runs it, in a process of its own."""
    target = history.home / "dbt"
    settings = {"RECSYS_HOME": str(history.home), "DBT_TARGET_PATH": str(target), "PYTHONWARNINGS": "ignore"}
    done = watch([DBT, *BUILD, "--exclude", *NOT_OURS.split()], settings, folder=ROOT)
    return Day(seconds=done.seconds, peak_gb=done.peak_gb, models=_models(target, done))


def _models(target: Path, done: Measured) -> dict[str, float]:
    results = json.loads((target / "run_results.json").read_text())["results"]
    assert results, done.output
    return {each["unique_id"].split(".", 2)[-1]: each["execution_time"] for each in results}


def project_state() -> str:
    """A name for the dbt project as it stands: files that tables are made from."""
    digest = hashlib.sha256()
    for path in sorted(path for kind in ("*.sql", "*.csv", "*.yml") for path in ROOT.rglob(kind)):
        if "target" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def typical(days: list[Day]) -> Day:
    """The medians of some days."""
    return Day(
        seconds=median(day.seconds for day in days),
        peak_gb=median(day.peak_gb for day in days),
        models={name: median(day.models.get(name, 0.0) for day in days) for name in days[0].models},
    )
