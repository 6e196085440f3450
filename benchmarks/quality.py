"""How good the recommendations are: on held-out reading, and against what the simulated readers truly like.

    python benchmarks/quality.py [--home FOLDER] [--json]

Runs the demo's world in a fresh folder, or takes the finished world in FOLDER. `world`: NDCG@10 of each variant on the latest 20 %
that each reader liked. `true_affinity`: the probability, known to the simulation alone, that a reader likes a book, averaged over
the first ten books of every published list.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from measure import print_table, watch

from recsys_platform.simulation.truth import load_truth, mean_true_affinity
from recsys_platform.warehouse.duckdb import DuckDBWarehouse
from recsys_platform.warehouse.overview import overview

RECSYS = Path(sys.executable).with_name("recsys")
TOP = "select user_id, book_id from published.user_recommendations where model = ? and rank <= 10"


def measure(home: Path) -> dict[str, dict[str, float]]:
    """Both figures by variant."""
    warehouse, truth = DuckDBWarehouse(home / "warehouse.duckdb"), load_truth(home / "truth")
    quality = dict(overview(warehouse).quality)
    return {"world": quality, "true_affinity": {name: affinity_of(name, warehouse, truth) for name in quality}}


def affinity_of(name: str, warehouse: DuckDBWarehouse, truth) -> float:  # noqa: ANN001
    """Mean true affinity of the first ten books of every list of a variant."""
    lists = warehouse.frame(TOP, [name])
    return mean_true_affinity(truth, user_ids=lists["user_id"].to_pylist(), book_ids=lists["book_id"].to_pylist())


def main() -> None:
    """Measure, print, and exit with 1 unless LightFM doubles popularity's NDCG and beats its true affinity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        if given.home is None:
            watch([RECSYS, "demo"], {"RECSYS_HOME": str(home)})
        figures = measure(home)
    if given.json:
        print(json.dumps(figures))
    else:
        names = list(figures["world"])
        print_table(
            ["figure", *names], [[what, *(f"{by[name]:.4f}" for name in names)] for what, by in figures.items()]
        )
    world, liked = figures["world"], figures["true_affinity"]
    sys.exit(not (world["lightfm"] >= 2 * world["popularity"] and liked["lightfm"] > liked["popularity"]))


if __name__ == "__main__":
    main()
