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

from measure import Budget, keeps_all, show

from recsys_platform.closed_loop.plan import LoopRecord, load_record
from recsys_platform.config.settings import load_settings
from recsys_platform.reports.evaluation_plots import COLOURS, INK, new_figure, png_of, style_axis

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


def picture(outcomes: list[dict[str, Any]]) -> bytes:
    """CTR of each variant of each act, from top to bottom."""
    rows = [row for row in outcomes if (row["act"], row["variant"]) != ("experiment", "production")]  # guests
    figure = new_figure(10, 0.8 + 0.42 * len(rows), w_pad=0.15, h_pad=0.1)
    axes, acts = figure.subplots(), list(dict.fromkeys(row["act"] for row in rows))
    for place, row in enumerate(reversed(rows)):
        colour = COLOURS[acts.index(row["act"]) % len(COLOURS)]
        axes.barh(place, 100 * row["ctr"], height=0.6, color=colour)
        axes.text(100 * row["ctr"] + 0.06, place, f"{row['ctr']:.1%}", va="center", color=INK, fontsize=11)
    labels = [f"{row['act']}: {row['variant']}" for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels, fontsize=11, color=INK)
    style_axis(axes, "CTR in %", grid="x")
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
            given.picture.write_bytes(picture(record.done["outcomes"]))
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
