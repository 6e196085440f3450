"""How often off-policy intervals hold the truth over simulated weeks of visits, and what a week of readers costs in CPU.

    python benchmarks/visits.py --weeks 20 --readers 300
    python benchmarks/visits.py --weeks 1 --readers 3000 --http

Each week is of other readers, books and draws. By default the requests go to the application in this process, through routing, access,
cache and spool, without sockets; with --http to `recsys serve` in a process of its own. Exposures are read from the landing files.
"""

import argparse
import gzip
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
from measure import Budget, keeps_all, show

sys.path.append(str(Path(__file__).parents[1]))  # for tests/support

from recsys_platform.closed_loop.api import asks_in_process
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import Settings
from recsys_platform.serving.gateway.server import gateway_of, with_simulated_clock
from recsys_platform.simulation.reader_app import asks_over_http
from recsys_platform.simulation.responses import Habits
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visit_truth import load_visits
from recsys_platform.simulation.visiting import VisitsSummary, simulate_visits
from recsys_platform.simulation.world import make_world
from tests.support.servers import free_port, running
from tests.support.visited_world import HABITS, judged_week, make_visited_world

BUDGET = {"first_holds": Budget("≥", 0.9)}
VIEWED, CLICKED = "Recommendations Viewed", "Recommendation Clicked"


def cpu_seconds(process: psutil.Process | None = None) -> float:
    """CPU of this process, or of another one and its children."""
    if process is None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))


def week_in_process(settings: Settings, key: str, habits: Habits) -> tuple[VisitsSummary, float]:
    """A week against the application of this process; what it did, and its CPU seconds."""
    gateway = gateway_of(settings)
    ask = asks_in_process(with_simulated_clock(gateway), key)
    gateway.follower.refresh()
    gateway.spool.start()
    started = cpu_seconds()
    week = simulate_visits(ask, truth_dir=settings.truth_root, days=7, habits=habits, threads=1)
    used = cpu_seconds() - started
    gateway.spool.stop()
    return week, used


def week_over_http(settings: Settings, key: str, habits: Habits) -> tuple[VisitsSummary, float]:
    """A week against `recsys serve`; what it did, and the CPU seconds of both processes."""
    os.environ |= {"RECSYS_HOME": str(settings.home), "RECSYS_API_LIMITS": settings.api_limits}
    port, recsys = free_port(), Path(sys.executable).with_name("recsys")
    url = f"http://127.0.0.1:{port}"
    with running([str(recsys), "serve", "--simulated-clock", "--port", str(port)], f"{url}/readyz"):
        server = next(each for each in psutil.Process().children() if str(port) in each.cmdline())
        started = cpu_seconds() + cpu_seconds(server)
        week = simulate_visits(asks_over_http(url, key), truth_dir=settings.truth_root, days=7, habits=habits)
        used = cpu_seconds() + cpu_seconds(server) - started
    return week, used


def landed_exposures(settings: Settings) -> pa.Table:
    """The exposures and their clicks, as the marts would join them."""
    hub = hub_of(settings)
    texts = [gzip.decompress(hub.get(item.key)) for item in hub.objects("engagement_events/")]
    events = [json.loads(line) for text in texts for line in text.splitlines()]
    named = [each for each in events if each.get("event") == CLICKED]
    clicks = {(each["properties"]["request_id"], each["properties"]["book_id"]) for each in named}
    rows = [row for each in events if each.get("event") == VIEWED for row in _rows_of(each, clicks)]
    return pa.Table.from_pandas(pd.DataFrame(rows))


def _rows_of(event: dict[str, Any], clicks: set[tuple[str, str]]) -> list[dict[str, Any]]:
    request = event["properties"]["request_id"]
    shared = {
        "request_id": request,
        "surface": event["properties"]["surface"],
        "visitor_id": event["userId"] or event["anonymousId"],
        "shown_at": pd.Timestamp(event["timestamp"]),
    }
    return [
        {"draw_id": None} | item | shared | {"is_clicked": (request, item["book_id"]) in clicks}
        for item in event["properties"]["items"]
    ]


def judged(seed: int, *, readers: int, books: int, http: bool) -> tuple[pd.DataFrame, dict[str, float]]:
    """One week: estimates beside the truth, and figures."""
    with tempfile.TemporaryDirectory() as folder:
        settings, _, key = make_visited_world(Path(folder), readers=readers, books=books, seed=seed)
        started = time.perf_counter()
        week, cpu = (week_over_http if http else week_in_process)(settings, key, HABITS)
        figures = {"cpu_seconds_a_week": cpu, "wall_seconds_a_week": time.perf_counter() - started}
        figures |= {"lists": week.lists, "clicks": week.clicks, "readers": week.readers}
        spec, days = load_spec(settings.truth_root)
        world, shown = make_world(spec, days=days), load_visits(settings.truth_root)
        return judged_week(landed_exposures(settings), shown, world, HABITS), figures


def coverage(found: pd.DataFrame) -> dict[str, float]:
    """How often intervals hold the truth, by showings, then by estimator and target policy; how far estimates are off on average."""
    if found.empty:
        return {}
    figures = {f"{name}_holds": float(value) for name, value in found.groupby("showings")["holds"].mean().items()}
    off = found.assign(off=found["value"] / found["truth"] - 1).groupby("showings")["off"].mean()
    figures |= {f"{name}_off_percent": 100 * float(value) for name, value in off.items()}
    first = found[found["showings"] == "first"]
    for by in ("estimator", "target"):
        figures |= {f"first_holds_{name}": float(value) for name, value in first.groupby(by)["holds"].mean().items()}
    return figures | {"first_rows": float(first["rows"].mean()), "intervals": float(len(first))}


def main() -> None:
    """Run the weeks and print figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--weeks", type=int, default=20)
    options.add_argument("--readers", type=int, default=300)
    options.add_argument("--books", type=int, default=150)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--http", action="store_true")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    weeks = []
    for seed in range(given.seed, given.seed + given.weeks):
        weeks.append(judged(seed, readers=given.readers, books=given.books, http=given.http))
        print(f"week {seed}: {weeks[-1][1]}", file=sys.stderr)
    costs = pd.DataFrame([figures for _, figures in weeks]).mean().to_dict()
    figures = {str(name): float(value) for name, value in costs.items()} | coverage(
        pd.concat([each for each, _ in weeks])
    )
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
