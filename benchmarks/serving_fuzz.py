"""Ten thousand random requests by the OpenAPI document, to a gateway of its own: each must be answered as the document says.

python benchmarks/serving_fuzz.py [--requests 10000] [--json]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from measure import Budget, keeps_all, show

sys.path.append(str(Path(__file__).parents[1]))  # for tests/support

from tests.support.openapi_fuzz import ask_at_random
from tests.support.serving_faults import RULES
from tests.support.serving_processes import GatewayProcess
from tests.support.serving_world import make_world

BUDGET = {
    "fuzz_requests": Budget("≥", 10_000),
    "fuzz_failures": Budget("≤", 0),
    "fuzz_server_errors": Budget("≤", 0),
}
REQUESTS_AN_EXAMPLE = 8
"""About how many requests one more example of each endpoint makes."""


def measured(folder: Path, requests: int, seed: int) -> dict[str, float]:
    """Figures of one run; prints what schemathesis found if it found something."""
    make_world(folder).publish(RULES)
    started = time.perf_counter()
    with GatewayProcess(folder) as gateway:
        found = ask_at_random(gateway.url, gateway.key, folder, examples=requests // REQUESTS_AN_EXAMPLE, seed=seed)
    if not found.passed:
        print(found.printed[-8000:], file=sys.stderr)
    return {
        "fuzz_requests": found.generated,
        "fuzz_failures": 0 if found.passed else 1,
        "fuzz_server_errors": sum(status.startswith("5") for status in found.statuses),
        "fuzz_seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Make the world, ask, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), given.requests, given.seed)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
