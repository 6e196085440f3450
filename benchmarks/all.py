"""Every benchmark program at a size for two cores, within an hour: one table of figures, as published and as they are now.

    python benchmarks/all.py [--only PROGRAM,PROGRAM] [--dry-run]

The table stands in docs/benchmarks.md between two marks; this program writes it there, with the date, the machine and the command
of each program. Programs that `--only` leaves out keep their lines. It exits with 1 where a program fails or breaks a budget.
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import experiments
import goodbooks
import ingest
import large
import pipeline
import psutil
import quality
import serving
import serving_agreement
import serving_fuzz
import training
from measure import Budget, markdown_table

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- written by make bench -->\n", "<!-- end of what make bench writes -->"
HEAD = ("program", "figure", "published", "now", "budget", "measured on", "")


@dataclass(frozen=True)
class Program:
    """A benchmark program, its size here, and its budgets."""

    name: str
    arguments: tuple[str, ...]
    budgets: Mapping[str, Budget]

    @property
    def command(self) -> str:
        """What a person types."""
        return " ".join(["python", f"benchmarks/{self.name}.py", *self.arguments])


GOODBOOKS = os.environ.get("GOODBOOKS")
PROGRAMS = (
    Program("ingest", ("--events", "1000000", "--repeat", "3"), ingest.BUDGET),
    Program("pipeline", (), pipeline.BUDGET),
    Program("training", (), training.BUDGET),
    Program(
        "quality", ("--only", "ml100k,cold,fold_in", "--seeds", "2", "--trials", "5", "--seconds", "60"), quality.BUDGET
    ),
    Program("large", ("--readers", "30000", "--books", "4500", "--events", "300000"), large.BUDGET),
    Program("serving", (), serving.BUDGET),
    Program("serving_agreement", (), serving_agreement.BUDGET),
    Program("serving_fuzz", (), serving_fuzz.BUDGET),
    Program("experiments", ("--brief",), experiments.BUDGET),
    *((Program("goodbooks", ("--data", GOODBOOKS), goodbooks.BUDGET),) if GOODBOOKS else ()),
)


def figures_of(program: Program) -> dict[str, float]:
    """Run a program; its figures, or none where it failed without giving any. What it tells on the way is shown."""
    command = [sys.executable, str(HERE / f"{program.name}.py"), *program.arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found = json.loads(lines[-1]) if lines else {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def published_rows(page: str) -> list[tuple[str, ...]]:
    """The lines of the table in the page."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def rows_of(
    program: Program, published: list[tuple[str, ...]], figures: Mapping[str, float]
) -> Iterator[tuple[str, ...]]:
    """The lines of one program in the table: each figure, or each budget where the program failed."""
    before = {row[1]: row[3] for row in published if row[0] == program.name}
    today = str(dt.datetime.now(dt.UTC).date())
    for name in figures or program.budgets:
        budget, value = program.budgets.get(name), figures.get(name)
        kept = value is not None and (budget is None or budget.keeps(value))
        now = "failed" if value is None else f"{value:,.4g}"
        yield program.name, name, before.get(name, ""), now, str(budget or ""), today, "" if kept else "missed"


def measured_rows(program: Program, published: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Run a program and tell how long it took; its lines in the table."""
    print(f"{program.command}…", file=sys.stderr)
    started = time.perf_counter()
    rows = list(rows_of(program, published, figures_of(program)))
    print(f"  {time.perf_counter() - started:.0f} seconds", file=sys.stderr)
    return rows


def machine() -> str:
    """The size of this machine."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def with_table(page: str, rows: list[tuple[str, ...]]) -> str:
    """The page with its table replaced."""
    measured = {row[0] for row in rows}
    commands = "\n".join(f"    {each.command}" for each in PROGRAMS if each.name in measured)
    block = f"{BEGIN}\nThe newest on {machine()}.\n\n{markdown_table(HEAD, rows)}\n\n{commands}\n\n{END}"
    before, _, rest = page.partition(BEGIN)
    return f"{before}{block}{rest.partition(END)[2]}"


def main() -> None:
    """Run the programs one after another, print the table, write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(each.name for each in PROGRAMS))
    parser.add_argument("--dry-run", action="store_true", help="print the table, leave the page as it is")
    given = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    published, rows = published_rows(page), []
    for program in PROGRAMS:
        chosen = program.name in given.only.split(",")
        rows += measured_rows(program, published) if chosen else [r for r in published if r[0] == program.name]
    print(markdown_table(HEAD, rows))
    if not given.dry_run:
        PAGE.write_text(with_table(page, rows), encoding="utf-8")
    sys.exit(any(row[-1] == "missed" for row in rows))


if __name__ == "__main__":
    main()
