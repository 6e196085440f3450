"""An evaluation as it is kept says what was asked, to the gate and to people."""

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from recsys_platform.cli.output.status import print_overview
from recsys_platform.config.settings import Settings
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.evaluation.comparison import Task
from recsys_platform.recommender.evaluation.evaluate import EvaluationParams
from recsys_platform.recommender.evaluation.results import store_evaluation, stored_results
from recsys_platform.recommender.registry.gate import GateParams, decide
from recsys_platform.recommender.training.candidates import evaluate_variants
from recsys_platform.recommender.training.variants import variant_of
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

NOW = dt.datetime(2026, 3, 1)
BOOKS = [f"b{n:02d}" for n in range(40)]
COLUMNS = {"is_positive": False, "strongest_action": "Book Viewed", "strongest_weight": 0.5, "is_finished": False}


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    """As an older version left it: its evaluations do not say what was asked."""
    made = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    made.prepare()
    with made.connect() as con:
        for column in ("verb", "held_out"):
            con.execute(f"alter table ops.model_evaluations drop column {column}")
        con.execute(
            "insert into ops.model_evaluations values ('old', timestamp '2026-01-01', 'popularity', 'all', 'ndcg', 10, 5, 1, 1, 1)"
        )
    made.prepare()
    return made


def test_what_was_asked_is_kept_for_the_gate_and_told_to_people(
    warehouse: DuckDBWarehouse, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    likes = {f"u{n:02d}": [BOOKS[(n % 2 * 20 + n + k) % 40] for k in range(6)] for n in range(80)}
    data = make_dataset(likes, BOOKS, weight=0.5, **COLUMNS)
    variants = {"popularity": variant_of("popularity", {}), "ease": variant_of("ease", {})}
    result = evaluate_variants(data, variants=variants, params=EvaluationParams(resamples=50))
    store_evaluation(result, data.fingerprint(), warehouse, NOW)

    kept, old = (stored_results(key, warehouse) for key in (data.fingerprint(), "old"))
    assert kept is not None
    assert old is not None
    assert kept.task == result.task
    assert (kept.task.verb, old.task) == ("opened", Task())
    reasons = " ".join(decide("ease", None, kept, GateParams()).reasons)
    assert "what readers opened next" in reasons

    shown = io.StringIO()
    print_overview(Console(file=shown, width=500), Settings(home=tmp_path), warehouse)
    assert f"NDCG@10 on what {result.tested} readers with history opened next" in shown.getvalue()
    assert result.task.held_out in shown.getvalue()
