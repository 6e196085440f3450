"""Averages over users, their intervals, and what people read of them."""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from math import log2

import numpy as np
import numpy.typing as npt
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.splits import Split, hold_out_latest
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation.evaluate import Evaluation, EvaluationParams, evaluate
from recsys_platform.recommender.evaluation.results import DIFFERENCES, VALUES, store_evaluation
from recsys_platform.recommender.lists.roles import Role
from recsys_platform.recommender.registry.gate import Decision
from recsys_platform.reports.evaluation_page import evaluation_page, with_gate
from recsys_platform.reports.evaluation_plots import evaluation_plot, headline
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

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
    with pytest.raises(DataError, match="No reader has enough"):
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


class Read(HTMLParser):
    """What a page names that a browser would fetch or run, and the first cell of every row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched, self.tags, self.rows, self._cell = list[str](), set[str](), list[str](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._cell = {"tr": "row", "td": "first" if self._cell == "row" else ""}.get(tag, self._cell)
        self.fetched += [
            value or "" for name, value in attrs if name in {"src", "srcset", "href", "data", "action", "poster"}
        ]
        self.fetched += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for name, value in attrs if name == "style"))

    def handle_data(self, data: str) -> None:
        if self._cell == "first":
            self.rows.append(data)
            self._cell = ""


@pytest.fixture
def page(split: Split, result: Evaluation) -> str:
    return evaluation_page(
        result,
        plot=evaluation_plot(result),
        baseline="last",
        data_hash="abc",
        recipes={"first": {"model": "<script>"}, "last": {"model": "popularity"}},
        window=split.train.window,
        now=dt.datetime(2026, 1, 1),
    )


def test_the_page_holds_every_figure_of_every_model_and_the_protocol(page: str, result: Evaluation) -> None:
    for text in (
        "Readers with history",
        "NDCG by history",
        "NDCG minus that of last",
        "0.6667",
        "2026-01-01 00:00 UTC",
    ):
        assert text in page
    assert result.protocol in unescape(page)
    assert "3 readers" in result.protocol
    rows = Read(page).rows
    assert {name: rows.count(name) for name in result.models} == {
        "first": 5,
        "last": 4,
    }  # a baseline is not held against itself


def test_the_page_fetches_and_runs_nothing(page: str) -> None:
    read = Read(page)
    assert read.fetched
    assert {place.partition(":")[0] for place in read.fetched} == {"data"}
    assert read.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    assert not re.search(r"@import|url\(", page)
    assert "&lt;script&gt;" in page


def told(page: str, *, production: str, decisions: Sequence[Decision] = (), is_of_today: bool = True) -> str:
    roles = [
        Role("first", production, "production", "person", dt.datetime(2026, 1, 2), "a <b>trial</b>"),
        Role("last", "last-v2", "challenger", "gate", dt.datetime(2026, 1, 1), "The best besides it."),
    ]
    return with_gate(
        page, roles=roles, decisions=decisions, why_nothing="nothing was measured", is_of_today=is_of_today
    )


def test_the_page_says_what_is_live_and_what_the_gate_decided_and_forgets_what_it_said_before(page: str) -> None:
    assert "The gate has not judged these figures yet." in page
    decisions = [
        Decision("first", promote=True, reasons=("It is better.",)),
        Decision("last", promote=False, reasons=("It is <not>.",)),
    ]
    first = told(page, production="first-v1", decisions=decisions)
    again = told(told(first, production="first-v2"), production="first-v3", decisions=decisions)
    assert again == first.replace("first-v1", "first-v3")
    for sentence in (
        "<b>first-v1</b> is live, chosen by a person on 2026-01-02 00:00 UTC: a &lt;b&gt;trial&lt;/b&gt;",
        "<b>last-v2</b> is the challenger, chosen by the gate on 2026-01-01 00:00 UTC: The best besides it.",
        "It is &lt;not&gt;.",
    ):
        assert sentence in first
    assert "not judged" not in first
    assert Read(first).rows.count("last") == Read(page).rows.count("last") + 1
    assert first.partition("<figure>")[2] == page.partition("<figure>")[2]


@pytest.mark.parametrize(("is_of_today", "said"), [(True, False), (False, True)])
def test_the_page_says_if_nothing_was_decided_and_if_its_figures_are_old(
    page: str, *, is_of_today: bool, said: bool
) -> None:
    found = told(page, production="first-v1", is_of_today=is_of_today)
    assert "The gate decided nothing: nothing was measured." in found
    assert ("The figures below are of data that are no longer those of today." in found) == said


def test_an_evaluation_that_says_the_same_again_leaves_every_row_as_it_is(
    split: Split, warehouse: DuckDBWarehouse
) -> None:
    def kept(values: Fixed, minute: int, data: str = "data") -> dict[str, list[tuple[object, ...]]]:
        result = evaluate([values, LAST], split, EvaluationParams(resamples=50), baselines=["last"])
        store_evaluation(result, data, warehouse, dt.datetime(2026, 11, 20, 5, minute))
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
