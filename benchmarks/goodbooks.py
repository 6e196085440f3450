"""Real input end to end: the goodbooks-10k ratings replayed, loaded, transformed, learned from and published.

    python benchmarks/goodbooks.py --data FOLDER [--home FOLDER] [--json]

FOLDER holds goodbooks-10k's `ratings.csv.gz`, `books.csv.gz` and `genres.csv.gz` (one row of genre weights a book).
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd
from measure import Budget, keeps_all, show, watch

from recsys_platform.reports.overview import overview
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

RECSYS = Path(sys.executable).with_name("recsys")
BUDGET = {"seconds": Budget("≤", 600), "peak_gb": Budget("≤", 6), "ratio": Budget("≥", 1.5)}


def prepare(data: Path, folder: Path) -> tuple[Path, Path]:
    """Ratings and books in the columns that `recsys import` reads; a book's `id` is what the ratings call `book_id`."""
    books, genres = pd.read_csv(data / "books.csv.gz"), pd.read_csv(data / "genres.csv.gz")
    named = genres.columns.to_numpy()
    catalog = pd.DataFrame(
        {
            "book_id": books["id"],
            "title": books["title"],
            "author": books["authors"].str.split(",").str[0],
            "language": books["language_code"].str[:2],  # eng, en-US and en-GB are all English
            "categories": ["|".join(named[weights > 0.1]) for weights in genres.to_numpy()],
        }
    )
    catalog.to_csv(folder / "books.csv", index=False)
    return data / "ratings.csv.gz", folder / "books.csv"


def main() -> None:
    """Measure, print a table, and exit with 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        figures = measure(given.data, Path(scratch), home)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not _passed(figures))


def measure(data: Path, scratch: Path, home: Path) -> dict[str, float]:
    """Every figure of the run."""
    ratings, books = prepare(data, scratch)
    world = {"RECSYS_HOME": str(home)}
    replayed = watch([RECSYS, "import", "--interactions", ratings, "--books", books], world)
    ran = watch([RECSYS, "run"], world)
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    found = overview(warehouse)
    lists = "select count(distinct user_id) as n from published.user_recommendations group by model order by n limit 1"
    quality = dict(found.quality)
    return {
        "ratings": len(pd.read_csv(ratings)),
        "records": found.records,
        "accepted": found.accepted,
        "rejected": found.rejected,
        "distinct_events": found.distinct_events,
        "duplicates": found.duplicates,
        "invalid": found.invalid,
        "readers": found.readers,
        "readers_with_a_list": warehouse.frame(lists)["n"][0].as_py(),
        "replay_seconds": replayed.seconds,
        "run_seconds": ran.seconds,
        "seconds": replayed.seconds + ran.seconds,
        "peak_gb": max(replayed.peak_gb, ran.peak_gb),
        "ndcg_lightfm": quality["lightfm"],
        "ndcg_popularity": quality["popularity"],
        "ratio": quality["lightfm"] / quality["popularity"],
    }


def _passed(figures: dict[str, float]) -> bool:
    accounted = figures["accepted"] + figures["rejected"] == figures["records"] == figures["ratings"]
    conserved = figures["accepted"] == figures["distinct_events"] + figures["duplicates"] + figures["invalid"]
    complete = figures["readers"] == figures["readers_with_a_list"]
    return accounted and conserved and complete and keeps_all(figures, BUDGET)


if __name__ == "__main__":
    main()
