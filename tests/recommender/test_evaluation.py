"""Averages over users, their intervals, and what people read of them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from math import log2

import numpy as np
import numpy.typing as npt
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.splits import Split, hold_out_latest
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation.held_out import Evaluation, EvaluationParams, evaluate
from recsys_platform.recommender.evaluation.measured import DIFFERENCES, VALUES, keep
from recsys_platform.recommender.evaluation.plots import evaluation_plot, headline
from recsys_platform.recommender.evaluation.report import evaluation_page
from recsys_platform.warehouse.duckdb import DuckDBWarehouse

BOOKS = [f"b{number:02d}" for number in range(30)]
PNG = b"\x89PNG\r\n"


@dataclass(frozen=True)
class Fixed:
    """Scores given by hand, the same for everyone."""

    name: str
    values: npt.NDArray[np.float32]

    def scores(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        return np.tile(self.values, (len(users), 1))

    def personal(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        return np.zeros(len(users), dtype=bool)

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        return {"values": self.values}


FIRST = Fixed("first", -np.arange(30, dtype=np.float32))  # the books in their order
LAST = Fixed("last", np.arange(30, dtype=np.float32))


@pytest.fixture
def split(make_dataset: Callable[..., Dataset]) -> Split:
    """u1 and u2 liked books 0 to 4, the last of them in the test; u3 liked the last ten, two in the test."""
    return hold_out_latest(make_dataset({"u1": BOOKS[:5], "u2": BOOKS[:5], "u3": BOOKS[20:]}, BOOKS))


@pytest.fixture
def result(split: Split) -> Evaluation:
    return evaluate([LAST, FIRST], split, EvaluationParams(resamples=200), baselines=["last"])


def test_a_model_is_judged_by_what_it_ranks_first_among_the_books_not_seen_in_training(result: Evaluation) -> None:
    # u1, u2: book 4 is the first unseen one. u3: books 28, 29 are beyond rank 10.
    assert result.value("first") == pytest.approx((1 + 1 + 0) / 3)
    assert result.value("first", "precision") == pytest.approx((1 / 10 + 1 / 10 + 0) / 3)
    # u1, u2: the last ten are wrong. u3: 29 and 28 come first.
    assert result.value("last") == pytest.approx((0 + 0 + 1) / 3)
    assert result.value("last", "recall") == pytest.approx(1 / 3)


def test_ndcg_counts_the_rank(split: Split) -> None:
    second = Fixed("second", np.eye(30, dtype=np.float32)[4] + 2 * np.eye(30, dtype=np.float32)[10])
    result = evaluate([second], split, EvaluationParams(), baselines=["second"])
    assert result.value("second", segment="1-4") == pytest.approx(1 / log2(3))


def test_readers_are_grouped_by_how_much_they_liked_in_training(result: Evaluation) -> None:
    assert result.value("first", segment="1-4") == 1
    assert result.value("first", segment="5-19") == 0
    with pytest.raises(KeyError, match="20"):
        result.value("first", segment="20+")


def test_coverage_is_of_the_whole_catalogue(result: Evaluation) -> None:
    assert result.value("first", "coverage") == pytest.approx(len({*range(4, 14), *range(10)}) / 30)


def test_intervals_hold_the_value_and_are_the_same_each_time(split: Split, result: Evaluation) -> None:
    rows = result.table.dropna()
    assert ((rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"])).all()
    again = evaluate([LAST, FIRST], split, EvaluationParams(resamples=200), baselines=["last"])
    assert again.table.equals(result.table)


def test_a_model_is_exactly_as_good_as_its_twin(split: Split) -> None:
    result = evaluate([FIRST, Fixed("twin", FIRST.values)], split, EvaluationParams(), baselines=["first"])
    overall = result.ratios.set_index("segment").loc["all"]
    assert (overall["value"], overall["low"], overall["high"]) == (1, 1, 1)


def test_a_sample_of_users_is_as_large_as_asked(split: Split) -> None:
    result = evaluate([FIRST], split, EvaluationParams(max_users=2), baselines=["first"])
    assert result.table.query("segment == 'all'")["users"].unique().tolist() == [2]


def test_nobody_to_test_on_is_said(make_dataset: Callable[..., Dataset]) -> None:
    split = hold_out_latest(make_dataset({"u1": ["b00"]}, BOOKS))
    with pytest.raises(DataError, match="Nobody has enough"):
        evaluate([FIRST], split, EvaluationParams(), baselines=["first"])


def test_the_tables_for_people_and_for_programs(result: Evaluation) -> None:
    assert "| first | 0.6667 (" in result.markdown()
    assert "| first ÷ last | 2.00 (" in result.markdown()


def test_the_headline_says_what_the_figure_shows(split: Split, result: Evaluation) -> None:
    assert headline(result, "last") == "No model is clearly better than last"
    alone = evaluate([FIRST], split, EvaluationParams(), baselines=["first"])
    assert headline(alone, "first") == "How well first ranks the held-out books"


def test_the_figure_is_a_png_even_if_nothing_was_found(split: Split, result: Evaluation) -> None:
    blind = evaluate([Fixed("a", FIRST.values * 0), LAST], split, EvaluationParams(k=1), baselines=["a"])
    assert evaluation_plot(result, baseline="last").startswith(PNG)
    assert evaluation_plot(blind, baseline="a").startswith(PNG)


def test_the_page_holds_every_figure_and_runs_nothing(split: Split, result: Evaluation) -> None:
    recipes = {"first": {"model": "<script>"}, "last": {"model": "popularity"}}
    page = evaluation_page(
        result,
        baseline="popularity",
        data_hash="abc",
        recipes=recipes,
        window=split.train.window,
        now=dt.datetime(2026, 1, 1),
    )
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    for text in ("Readers with history", "NDCG by history", "NDCG less that of last", "0.6667", "2026-01-01 00:00 UTC"):
        assert text in page


def test_an_evaluation_that_says_the_same_again_leaves_every_row_as_it_is(
    split: Split, warehouse: DuckDBWarehouse
) -> None:
    def kept(values: Fixed, minute: int, data: str = "data") -> dict[str, list[tuple[object, ...]]]:
        result = evaluate([values, LAST], split, EvaluationParams(resamples=50), baselines=["last"])
        keep(result, data, warehouse, dt.datetime(2026, 11, 20, 5, minute))
        with warehouse.connect(read_only=True) as con:
            return {table: con.execute(f"from {table} order by all").fetchall() for table in (VALUES, DIFFERENCES)}

    before = kept(FIRST, 0)
    assert len(before[DIFFERENCES]) > 0
    assert kept(FIRST, 1) == before
    changed = kept(Fixed("first", -LAST.values[::-1]), 2)
    assert {len(changed[table]) for table in before} == {len(before[table]) for table in before}
    assert changed != before
    kept(FIRST, 3, "other data")
    assert kept(FIRST, 4) != kept(FIRST, 5, "other data")  # which evaluation is the newest must be told
