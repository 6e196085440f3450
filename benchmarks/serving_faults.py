"""Everything that may break behind the API, broken and mended under load: no client may see it. And what a long load leaves behind.

    python benchmarks/serving_faults.py [--times 3] [--only NAME,NAME] [--requests 200000] [--swaps 100] [--json]

Real `recsys serve` and `recsys model-host` processes; the load comes from a process of its own, which judges every answer: status,
excluded, finished and repeated books, ranks, attributes, source, model version, variant, request ids (tests/support/steady_load.py).
Memory and open files of a gateway are compared after a fifth of the requests and after all, with swaps meanwhile.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
from measure import Budget, keeps_all, print_table, show

sys.path.append(str(Path(__file__).parents[1]))  # for tests/support

from tests.support.serving_faults import FAULTS, RULES, Scene, promote, run_fault, scene_of
from tests.support.serving_processes import plan_of, wait_until
from tests.support.serving_world import make_world
from tests.support.steady_load import Report, steady_load

BUDGET = {
    "faults_wrong": Budget("≤", 0),
    "faults_unanswered": Budget("≤", 0),
    "long_load_wrong": Budget("≤", 0),
    "memory_growth_mb": Budget("≤", 200),
    "open_files_growth": Budget("≤", 5),
}
WARM_SHARE = 0.2
"""Share of the requests after which caches are taken as filled."""


def fault_reports(names: list[str], times: int) -> Iterator[tuple[str, Report]]:
    """Run faults, those with a model host after the others."""
    for name in sorted(names, key=lambda name: FAULTS[name].with_host):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            world = make_world(Path(folder))
            world.publish(RULES)
            scene = stack.enter_context(scene_of(world, Path(folder), with_host=FAULTS[name].with_host))
            scene.times = 20 if "swapped" in name else times
            yield name, run_fault(FAULTS[name], scene)


def fault_figures(names: list[str], times: int) -> dict[str, float]:
    """Run faults and print a table of them."""
    found = dict(fault_reports(names, times))
    head = ("fault", "answered", "wrong", "unanswered", "live", "published", "popular", "p99 ms", "slowest ms")
    rows = [
        (
            *(name, f"{each.answered:,}", each.n_wrong, _unanswered(name, each)),
            *(f"{each.source(source):,}" for source in ("live", "published", "popular")),
            *(f"{1e3 * each.slowest(share):.0f}" for share in (0.01, 0.0)),
        )
        for name, each in found.items()
    ]
    print_table(head, rows)
    for name, each in found.items():
        for what in each.wrong[:3]:
            print(f"{name}: {what}", file=sys.stderr)
    return {
        "faults_answered": sum(each.answered for each in found.values()),
        "faults_wrong": sum(each.n_wrong for each in found.values()),
        "faults_unanswered": sum(each.unanswered for name, each in found.items() if not FAULTS[name].is_outage),
    }


def _unanswered(name: str, report: Report) -> str:
    return f"{report.unanswered} (gateway gone)" if FAULTS[name].is_outage else str(report.unanswered)


def long_load_figures(requests: int, swaps: int) -> dict[str, float]:
    """Memory and open files of a gateway under a long load, while snapshots and models are swapped."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        world.publish(RULES)
        with scene_of(world, Path(folder)) as scene:
            gateway = psutil.Process(scene.gateway.process.pid)
            with steady_load(plan_of(world, scene.gateway, pause=0.0)) as load:
                _swap(scene, 2)
                _wait_for_requests(scene, int(WARM_SHARE * requests))
                memory, files = gateway.memory_info().rss, gateway.num_fds()
                _swap(scene, swaps)
                _wait_for_requests(scene, requests)
                more_memory, more_files = gateway.memory_info().rss - memory, gateway.num_fds() - files
    return {
        "long_load_answered": load.report.answered,
        "long_load_wrong": load.report.n_wrong + load.report.unanswered,
        "memory_mb": memory / 1e6,
        "memory_growth_mb": more_memory / 1e6,
        "open_files": files,
        "open_files_growth": more_files,
    }


def _swap(scene: Scene, times: int) -> None:
    """Swap model and snapshot in turn."""
    for number in range(times):
        if number % 2:
            promote(scene, ("als", "item_knn")[number // 2 % 2])
        else:
            name = scene.world.publish(RULES).name
            wait_until(lambda name=name: scene.gateway.state()["snapshot"] == name, what=name)


def _wait_for_requests(scene: Scene, requests: int) -> None:
    """Wait until the gateway has answered so many."""
    client = scene.gateway.client()
    while _answered(client.get("/metrics").text) < requests:
        time.sleep(1)


def _answered(metrics: str) -> float:
    lines = (line for line in metrics.splitlines() if line.startswith("recsys_requests_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def main() -> None:
    """Break, load, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="how often each fault happens")
    parser.add_argument("--only", default=",".join(FAULTS), help="faults, separated by commas")
    parser.add_argument("--requests", type=int, default=200_000, help="of the long load; 0 for none")
    parser.add_argument("--swaps", type=int, default=100, help="of snapshots and models during the long load")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = [name for name in given.only.split(",") if name]
    figures = fault_figures(names, given.times) if names else {}
    figures |= long_load_figures(given.requests, given.swaps) if given.requests else {}
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
