"""What the closed loop costs and finds: `recsys demo --loop` from a clean home.

    python benchmarks/closed_loop.py
    python benchmarks/closed_loop.py --home FOLDER --picture docs/images/closed-loop.png

The lift that was planted stands beside the one that the experiment measured. CPU seconds are those of all processes together.
With --home, what a finished loop left there is shown without running it again.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from measure import Budget, keeps_all, show

from recsys_platform.closed_loop.outcomes import ctr_by_week
from recsys_platform.closed_loop.plan import HISTORY_DAYS, Act, LoopPlan, LoopRecord, load_record
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.reports.evaluation_plots import COLOURS, INK, MUTED, new_figure, png_of, style_axis

BUDGET = {
    "loop_seconds": Budget("≤", 600),
    "loop_found": Budget("≥", 1),
    "loop_promoted": Budget("≥", 1),
    "loop_bad_rolled_back": Budget("≥", 1),
    "loop_bad_exposed": Budget("≤", 0.05),
}


def run(home: Path, arguments: list[str]) -> dict[str, float]:
    """Run the loop; seconds of wall time and of CPU."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(Path(sys.executable).with_name("recsys")), "demo", "--loop", *arguments]
    subprocess.run(command, env={**os.environ, "RECSYS_HOME": str(home)}, check=True, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"loop_seconds": time.perf_counter() - started, "loop_cpu_seconds": cpu}


def figures_of(record: LoopRecord) -> dict[str, float]:
    """What a loop found."""
    verdict = record.done["verdict"]
    figures: dict[str, float] = {}
    for metric, found in verdict["found"]["metrics"].items():
        end = "" if metric == "ctr" else f"_{metric}"
        figures |= {f"loop_planted{end}": verdict["planted"][metric], f"loop_measured{end}": found["lift"]}
        figures |= {f"loop_measured{end}_low": found["low"], f"loop_measured{end}_high": found["high"]}
    figures["loop_found"] = float(verdict["found"]["metrics"]["ctr"]["low"] > 0)
    canary, bad = record.done["canary"], record.done["bad model"]
    figures["loop_promoted"] = float(canary is not None and canary["status"] == "complete")
    return figures | {"loop_bad_exposed": bad["share"], "loop_bad_rolled_back": float(bad["status"] == "rolled back")}


def picture(weeks: pd.DataFrame, plan: LoopPlan) -> bytes:
    """CTR by week and variant, with the acts."""
    figure = new_figure(10, 4.5, w_pad=0.15, h_pad=0.1)
    axes = figure.subplots()
    for number, (variant, rows) in enumerate(weeks.groupby("variant")):
        axes.plot(rows["week"] + 1, 100 * rows["ctr"], marker="o", color=COLOURS[number % len(COLOURS)], label=variant)
    for act in Act:
        first = (plan.weeks_of(act)[0].days.start - HISTORY_DAYS) / 7
        axes.axvline(first + 0.5, color=MUTED, linestyle=":", linewidth=1)
        axes.text(first + 0.55, axes.get_ylim()[1], str(act), color=INK, fontsize=10, va="top")
    axes.legend(loc="best", frameon=False, fontsize=10, labelcolor=INK)
    axes.set_xlabel("week", color=INK)
    style_axis(axes, "CTR in %", grid="y")
    return png_of(figure)


def main() -> None:
    """Run the loop unless it is done, and print figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--home", type=Path)
    options.add_argument("--picture", type=Path)
    options.add_argument("--json", action="store_true")
    given, rest = options.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        home = given.home or Path(folder)
        settings = load_settings({"RECSYS_HOME": str(home)})
        record = load_record(settings.truth_root)
        figures = {} if record and "outcomes" in record.done else run(home, rest)
        record = load_record(settings.truth_root)
        assert record
        figures |= figures_of(record)
        if given.picture:
            _save(given.picture, settings, record.plan)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


def _save(path: Path, settings: Any, plan: LoopPlan) -> None:
    weeks = ctr_by_week(warehouse_of(settings), plan.day(HISTORY_DAYS), plan.day(plan.days))
    path.write_bytes(picture(weeks, plan))


if __name__ == "__main__":
    main()
