"""The check that warns when readers are shown or read fewer books than before; tables made by hand, no run."""

import datetime as dt
from dataclasses import astuple, fields, replace
from typing import Any

import dagster as dg
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.defs.transform.checks import the_choice_of_books_does_not_narrow as check
from recsys_platform.reports.catalog_coverage import CatalogWeek, catalog_weeks, judged_series, narrowings

TYPES = {str: "varchar", int: "bigint", float: "double", bool: "boolean", dt.date: "date", float | None: "double"}
COLUMNS = ", ".join(f"{each.name} {TYPES[each.type]}" for each in fields(CatalogWeek))
FIRST = dt.date(2026, 9, 7)


def week(number: int, effective: float | None, **given: Any) -> CatalogWeek:
    """A week of all exposures: 400 books, 100 of them shown, as concentrated as `effective` books."""
    made = CatalogWeek(
        counted="exposures",
        model="all",
        total=5000,
        books=100,
        catalog_books=400,
        coverage=0.25,
        gini=0.8,
        top_tenth_share=0.7,
        same_book_pairs=9000,
        effective_books=effective,
        is_complete=True,
        week_start=FIRST + dt.timedelta(weeks=number),
    )
    return replace(made, **given)


def sentences(*weeks: CatalogWeek, rise: float = 1.5) -> list[str]:
    return [each.sentence for each in narrowings(weeks, rise=rise)]


def checked(warehouse: Any, *weeks: CatalogWeek, **settings: str) -> dg.AssetCheckResult:
    with warehouse.connect() as con:
        con.execute(f"create or replace table marts.rpt_catalog_coverage ({COLUMNS})")
        if weeks:
            con.executemany(
                f"insert into marts.rpt_catalog_coverage values ({', '.join('?' * len(fields(CatalogWeek)))})",
                [astuple(each) for each in weeks],
            )
    assert set(catalog_weeks(warehouse)) == set(weeks)
    result = check(warehouse=warehouse, settings=load_settings(settings))
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_a_loop_that_narrows_is_told_in_one_sentence() -> None:
    loop = [week(n, books) for n, books in enumerate([60, 58, 62, 41, 39])]
    assert sentences(*loop[:4]) == []
    assert sentences(*loop) == [
        "Exposures in the week of 2026-10-05 are as concentrated as 39.0 books of equal share; "
        "the median of the weeks before (4) is 59.0."
    ]
    assert sentences(*loop, rise=1.6) == []


def test_a_narrowing_of_years_ago_does_not_hide_one_of_today() -> None:
    """Only the eight weeks before count: the ten narrow ones at the beginning are forgotten."""
    weeks = [*(week(n, 20) for n in range(10)), *(week(10 + n, 60) for n in range(8)), week(18, 30)]
    assert len(sentences(*weeks)) == 1


def test_coverage_is_compared_only_where_not_less_was_shown() -> None:
    before = [week(n, 60) for n in range(3)]
    fewer_books = week(3, 60, coverage=0.1)
    assert sentences(*before, fewer_books) == [
        "Exposures in the week of 2026-09-28 cover 10.0% of the item catalog; the median of the weeks before (3) is 25.0%."
    ]
    assert sentences(*before, replace(fewer_books, total=2000)) == []


def test_fewer_readers_are_not_a_narrower_choice() -> None:
    """A model that a tenth of the readers see shows the books of those few."""
    before = [week(n, 62.6, model="lightfm", total=total) for n, total in enumerate([7100, 7778, 8000])]
    few = week(3, 25.5, model="lightfm", total=466, same_book_pairs=4249)
    assert sentences(*before, few) == []
    assert judged_series([*before, few]) == []
    assert len(sentences(*before, replace(few, total=3889))) == 1
    assert sentences(*before, replace(few, total=3888)) == []


@pytest.mark.parametrize("unfit", [{"same_book_pairs": 99}, {"is_complete": False}])
def test_a_week_that_is_not_over_or_has_few_exposures_is_not_judged(unfit: dict[str, Any]) -> None:
    assert sentences(week(0, 60), week(1, 20, **unfit)) == []


def test_every_model_is_judged_by_its_own_weeks_and_one_that_is_gone_no_longer() -> None:
    gone = [week(0, 60, model="newest"), week(1, 10, model="newest")]
    steady = [week(n, books, model="popularity") for n, books in enumerate([12, 11, 12])]
    narrowing = [week(n, books, model="blend") for n, books in enumerate([80, 80, 40])]
    assert [each.week.model for each in narrowings([*narrowing, *gone, *steady], rise=1.5)] == ["blend"]


def test_the_check_warns_and_shows_the_newest_weeks(warehouse: Any) -> None:
    reads = [week(n, 50, counted="reads") for n in range(2)]
    result = checked(warehouse, *(week(n, books) for n, books in enumerate([60, 60, 30])), *reads)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "30.0 books of equal share" in str(result.description)
    rows = [record.data for record in result.metadata["newest_weeks"].records]
    assert [(row["week_start"], row["counted"]) for row in rows][:2] == [
        ("2026-09-21", "exposures"),
        ("2026-09-14", "exposures"),
    ]
    allowed = checked(warehouse, week(0, 60), week(1, 30), RECSYS_CONCENTRATION_RISE="2.5")
    assert (allowed.passed, allowed.description) == (True, "1 series of weeks compared")


def test_a_world_that_shows_nothing_passes_and_says_so(warehouse: Any) -> None:
    result = checked(warehouse)
    assert (result.passed, result.description) == (True, "No two weeks have enough exposures or reads to compare")
