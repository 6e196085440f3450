"""What ingestion costs: raw load against DuckDB alone and against dlt, memory as data grows, one more day as history grows.

    python benchmarks/ingest.py [--json] [--only load,dlt,memory,incremental] [--scratch FOLDER]
        [--events N] [--dlt-events N] [--repeat R]

One simulated world of `--events` records (ten million) in more than ten thousand gzip objects; the small size is a tenth of it,
its oldest days. It is simulated once and kept in `--scratch` for later runs. Every load has a process of its own, in turns on the
same files; imports count for nobody. 1 % of the records are late, 0.5 % are duplicates, 0.1 % are broken.

`ratio_vs_duckdb`: our raw load ÷ plain DuckDB reading and parsing the same files into tables, by the faster of the two statements
of load_with_duckdb.py; median of the pairs, the worse of the two sizes. `speedup_vs_dlt`: dlt's time ÷ ours on the small size,
or on as many of its days as `--dlt-events` asks for. `memory_growth`: our peak at the large size ÷ at the small one.
`incremental_growth`: `dbt build` of one more day after the whole history ÷ after a tenth of it. Exits with 1 where a budget is
broken.
"""

import argparse
import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from ingest_worlds import World, layouts_of, link_days, oldest_days, world_of
from measure import Budget, keeps_all, print_table, show, watch

from recsys_platform.hub.local import FolderHub

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements-bench.lock"
DATABASE = "{database}"  # in a command: a new file
PARTS = ("load", "dlt", "memory", "incremental")
SMALL = 0.1  # of the world
BROKEN = 0.001  # the share of records that the simulation breaks: who frames them how may count them differently
WAYS = {
    "ours": "our raw load",
    "typed": "DuckDB alone, typed columns",
    "objects": "DuckDB alone, whole records as JSON",
}
SHOWN_MODELS = 8


BUDGET = {
    "ratio_vs_duckdb": Budget("≤", 1.5),
    "speedup_vs_dlt": Budget("≥", 5),
    "memory_growth": Budget("≤", 1.3),
    "incremental_growth": Budget("≤", 1.3),
}


@dataclass(frozen=True)
class Load:
    """One load by one program; `rows` is what it says that it loaded."""

    seconds: float
    rows: int
    peak_gb: float


@dataclass
class Report:
    """What was measured: figures by name, and tables for a reader."""

    figures: dict[str, float] = field(default_factory=dict)
    loads: list[tuple[object, ...]] = field(default_factory=list)
    days: list[tuple[object, ...]] = field(default_factory=list)
    models: list[tuple[object, ...]] = field(default_factory=list)

    def show(self) -> None:
        """Print every table that has rows."""
        heads = {
            "loads": ("what", "records", "objects", "seconds", "records/s", "peak GB"),
            "days": ("history", "days", "records", "one more day, s", "of it in models and tests, s", "peak GB"),
            "models": ("slowest of one more day", *(f"{times}×, s" for times in (1, 4, 10))),
        }
        for name, head in heads.items():
            if getattr(self, name):
                print_table(head, getattr(self, name))
                print()
        show(self.figures, BUDGET)


@dataclass(frozen=True)
class Bench:
    """Where things lie, how often each pair runs, and what is told on the way."""

    scratch: Path
    repeat: int
    tell: Callable[[str], None]

    def files(self, world: World, name: str, days: tuple[dt.date, ...]) -> Path:
        """A hub with some days of the world, and beside it which objects have lines."""
        folder = self.scratch / f"{world.folder.name}-{name}"
        if not (folder / "layouts.json").exists():
            link_days(world, FolderHub(folder / "hub"), days)
            (folder / "layouts.json").write_text(json.dumps(layouts_of(FolderHub(folder / "hub"))))
        return folder

    def load(self, files: Path, how: str) -> Load:
        """Load a hub into a new database by one of the ways of load_with_duckdb.py."""
        layouts = ("--layouts", files / "layouts.json")
        return self._watched([sys.executable, HERE / "load_with_duckdb.py", files / "hub", DATABASE, how, *layouts])

    def load_with_dlt(self, python: Path, files: Path, style: str) -> Load:
        """Load a hub with dlt."""
        return self._watched([python, HERE / "load_with_dlt.py", files / "hub", DATABASE, "--style", style])

    def _watched(self, command: list[str | Path]) -> Load:
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            database = Path(folder) / "load.duckdb"
            done = watch([database if part == DATABASE else part for part in command], {})
        told = json.loads(done.output.splitlines()[-1])
        return Load(seconds=told["seconds"], rows=told["rows"], peak_gb=done.peak_gb)


def typical(loads: list[Load]) -> Load:
    """The medians of the same load."""
    return Load(
        seconds=median(each.seconds for each in loads),
        rows=loads[0].rows,
        peak_gb=median(each.peak_gb for each in loads),
    )


def row(what: str, files: Path, load: Load) -> tuple[object, ...]:
    """A line of the table of loads."""
    objects = sum(
        len(keys) for kinds in json.loads((files / "layouts.json").read_text()).values() for keys in kinds.values()
    )
    rate = f"{load.rows / load.seconds:,.0f}"
    return what, f"{load.rows:,}", f"{objects:,}", f"{load.seconds:.1f}", rate, f"{load.peak_gb:.2f}"


def compare_with_duckdb(bench: Bench, world: World, report: Report, only: set[str]) -> None:
    """Both sizes, in turns; `ratio_vs_duckdb` and `memory_growth`, whichever were asked for."""
    ways = WAYS if "load" in only else {"ours": WAYS["ours"]}
    ratios, peaks = [], []
    for name, days in (("tenth", oldest_days(world, SMALL)), ("whole", world.days)):
        files = bench.files(world, name, days)
        bench.tell(f"Loading the {name} of the world: {', '.join(ways.values())}…")
        turns = [{how: bench.load(files, how) for how in ways} for _ in range(bench.repeat)]
        medians = {how: typical([turn[how] for turn in turns]) for how in ways}
        report.loads += [row(f"{ways[how]} ({name})", files, load) for how, load in medians.items()]
        peaks.append(medians["ours"].peak_gb)
        if "load" in only:
            refuse_unequal(medians)
            ratios.append(ratio_of(turns))
    if "load" in only:
        report.figures["ratio_vs_duckdb"] = max(ratios)
    if "memory" in only:
        report.figures["memory_growth"] = peaks[1] / peaks[0]


def refuse_unequal(loads: Mapping[str, Load]) -> None:
    """Stop where the sides disagree on more records than are broken: they would not have done the same work."""
    rows = {how: load.rows for how, load in loads.items()}
    if max(rows.values()) > min(rows.values()) * (1 + BROKEN):
        sys.exit(f"error: the same files gave different numbers of records ({rows}): the comparison would not be fair.")


def ratio_of(turns: list[dict[str, Load]]) -> float:
    """Our seconds ÷ those of the statement that is the faster one for DuckDB on these files, median of the turns."""
    best = min(("typed", "objects"), key=lambda how: median(turn[how].seconds for turn in turns))
    return median(turn["ours"].seconds / turn[best].seconds for turn in turns)


def compare_with_dlt(bench: Bench, world: World, report: Report, events: int) -> None:
    """`speedup_vs_dlt`, and as another row dlt moving JSON text that was framed for it."""
    python = dlt_environment(bench)
    share = min(SMALL, events / world.records)
    files = bench.files(world, "tenth" if share == SMALL else f"{events}", oldest_days(world, share))
    bench.tell("Loading with dlt and with our loader, in turns…")
    turns = [(bench.load(files, "ours"), bench.load_with_dlt(python, files, "records")) for _ in range(bench.repeat)]
    ours, theirs = ([turn[side] for turn in turns] for side in (0, 1))
    report.loads += [
        row("our raw load, beside dlt", files, typical(ours)),
        row("dlt, records to typed tables", files, typical(theirs)),
        row("dlt, framed JSON text as Arrow", files, bench.load_with_dlt(python, files, "lines")),
    ]
    report.figures["speedup_vs_dlt"] = median(dlt.seconds / our.seconds for our, dlt in turns)


def dlt_environment(bench: Bench) -> Path:
    """The Python of a virtual environment with dlt, made from its lock where it is missing."""
    folder = bench.scratch / "dlt"
    python, uv = folder / "bin" / "python", Path(sys.executable).with_name("uv")
    if not (folder / "complete").exists():
        if not uv.exists():
            sys.exit(f"error: dlt is installed from {LOCK.name} by {uv}, which is missing: run make setup, then again.")
        bench.tell("Installing dlt into an environment of its own…")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", LOCK]
        if subprocess.run(install, check=False).returncode:
            sys.exit(
                f"error: dlt could not be installed from {LOCK.name}: leave it out with --only load,memory,incremental."
            )
        (folder / "complete").touch()
    return python


def compare_histories(bench: Bench, world: World, report: Report) -> None:
    """`incremental_growth`, with what each of the slowest models takes after each history."""
    from ingest_days import days_after, typical  # loads Dagster and parses the dbt project: only where it is asked for

    bench.tell("Building the marts of three histories and three more days after each…")
    histories, days = days_after(world, bench.scratch, bench.tell)
    medians = {times: typical(built) for times, built in days.items()}
    for times, history in histories.items():
        day = medians[times]
        inside = f"{sum(day.models.values()):.1f}"
        report.days.append(
            (f"{times}×", history.days, f"{history.records:,}", f"{day.seconds:.1f}", inside, f"{day.peak_gb:.2f}")
        )
    slowest = sorted(medians[10].models, key=lambda name: -medians[10].models[name])[:SHOWN_MODELS]
    report.models += [(name, *(f"{day.models.get(name, 0):.2f}" for day in medians.values())) for name in slowest]
    report.figures["incremental_growth"] = medians[10].seconds / medians[1].seconds


def options() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=10_000_000, help="records of the world, about")
    parser.add_argument(
        "--dlt-events", type=int, default=1_000_000, help="records that dlt loads, at most a tenth of the world"
    )
    parser.add_argument("--repeat", type=int, default=3, help="pairs of loads")
    parser.add_argument("--only", default=",".join(PARTS), help="some of load,dlt,memory,incremental")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "recsys-ingest")
    given = parser.parse_args()
    given.only = set(given.only.split(","))
    if not given.only <= set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}; {', '.join(sorted(given.only - set(PARTS)))} is none of them.")
    return given


def main() -> None:
    """Measure, print, and exit with 1 where a budget is broken."""
    given = options()
    given.scratch.mkdir(parents=True, exist_ok=True)
    bench, report = (
        Bench(given.scratch.resolve(), given.repeat, tell=lambda text: print(text, file=sys.stderr)),
        Report(),
    )
    bench.tell(f"The world of about {given.events:,} records, in {bench.scratch}…")
    world = world_of(bench.scratch, events=given.events)
    if given.only & {"load", "memory"}:
        compare_with_duckdb(bench, world, report, given.only)
    if "dlt" in given.only:
        compare_with_dlt(bench, world, report, given.dlt_events)
    if "incremental" in given.only:
        compare_histories(bench, world, report)
    print(json.dumps(report.figures)) if given.json else report.show()
    sys.exit(not keeps_all(report.figures, BUDGET))


if __name__ == "__main__":
    main()
