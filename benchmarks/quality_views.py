"""A world of views alone: the demo's with every other event left out, and how good any model could be in it.

Readers open books by odds that the simulation knows: taste, fame, and a while of attention for what is new. Ranking by these odds is
the oracle: what a reader opens next is drawn from them, so no model can tell more. It is judged by what the platform's own evaluation
holds out of the readers with history, as every model is.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import watch
from quality_data import rows_of

from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.framing import split_records
from recsys_platform.recommender.data import training_data
from recsys_platform.recommender.data.splits import hold_out
from recsys_platform.recommender.evaluation.search_score import mean_ndcg
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.reports.overview import overview
from recsys_platform.simulation.behaviour import SEASON, appeal
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.world import World, make_world
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

VIEWS = ('"Book Viewed"', '"book_viewed"')
"""A record that holds one of these is a view, in each tracker's words."""
DEMO_SEED = 7


@dataclass(frozen=True)
class Viewed:
    """NDCG on what readers opened next: of every model as the platform measured it, and of the oracle."""

    live: str
    models: Mapping[str, float]
    oracle: float
    task: str

    def figures(self) -> dict[str, object]:
        """For the one JSON object."""
        found = self.models[self.live]
        singles = (value for name, value in self.models.items() if not name.startswith("blend"))
        ratios = {
            "live_vs_best_single": found / max(singles),
            "live_vs_popularity": found / self.models["popularity"],
            "oracle_vs_popularity": self.oracle / self.models["popularity"],
        }
        return json.loads(json.dumps(vars(self) | ratios))


def viewed(home: Path, recsys: Path, *, readers: int, books: int, k: int, seed: int = 0) -> Viewed:
    """Simulate the demo's world, leave out all but views, run the demo on it, and judge; `seed` 0 is the demo's own."""
    world = {"RECSYS_HOME": str(home)}
    if not (home / "warehouse.duckdb").exists():
        sizes = ["--readers", str(readers), "--books", str(books), "--seed", str(DEMO_SEED + seed)]
        watch([recsys, "simulate", *sizes], world)
        keep_views(home / "hub" / "engagement_events")
        watch([recsys, "demo"], world)
    done, registry = overview(DuckDBWarehouse(home / "warehouse.duckdb")), Registry(home / "models")
    return Viewed(
        live=registry.info(registry.version_of(PRODUCTION) or "").variant,
        models=dict(done.quality),
        oracle=_ndcg_of_oracle(home, k),
        task=" ".join(done.quality_task).strip(),
    )


def keep_views(landed: Path) -> None:
    """Leave nothing but views in every landing object, and no object that holds none."""
    for path in sorted(landed.rglob("*.gz")):
        records = [piece.text for piece in split_records(path.read_bytes()) if piece.reason is None]
        views = [text for text in records if any(name in text for name in VIEWS)]
        path.unlink()
        if views:
            path.write_bytes(gzip.compress("\n".join(views).encode(), mtime=0))


def _ndcg_of_oracle(home: Path, k: int) -> float:
    """Over all readers with history who have something held out."""
    data = training_data.latest_dataset(FolderHub(home / "hub"))
    split = hold_out(data)
    spec, days = load_spec(home / "truth")
    season = (days - 1) // SEASON * SEASON
    users, books = (_rows(ids) for ids in (data.user_ids[split.readers], data.book_ids))
    oracle = _Oracle(make_world(spec, days=days), users, books, season)
    return mean_ndcg(oracle, rows_of(split, split.readers), k)  # type: ignore[arg-type]


def _rows(ids: np.ndarray) -> np.ndarray:
    """Where the world has the reader or book of each id: they are numbered from 1."""
    return np.array([int(each[1:]) - 1 for each in ids])


@dataclass(frozen=True)
class _Oracle:
    """The odds by which the readers of a season open books."""

    world: World
    users: np.ndarray
    books: np.ndarray
    season: int

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Of those books."""
        return np.ascontiguousarray(appeal(self.world, rows=self.users[users], day=self.season)[:, self.books])
