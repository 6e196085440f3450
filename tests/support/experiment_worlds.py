"""Requests, events and payments that are small enough to add up by hand, for the read-out of experiments on both engines.

The marts are made of them here by another way than dbt does it: `tests/dbt/test_experiment_marts.py` holds both equal.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.policy_worlds import literal

FIRST = dt.datetime(2026, 11, 2)
ASSIGNMENTS, METRICS, HISTORY = "fct_experiment_assignments", "fct_experiment_metrics", "dim_users_history"
REQUESTS = "fct_recommendation_requests"
TABLES = (
    f"""create table marts.{REQUESTS} (experiment varchar, variant varchar, model varchar, model_version varchar,
        answer_source varchar, is_bot boolean, shown_on date)""",
    f"""create table marts.{ASSIGNMENTS} (experiment varchar, visitor_id varchar, user_id varchar, unit_id varchar,
        variant varchar, model varchar, platform varchar, is_bot boolean, is_staff boolean, is_returning boolean,
        first_shown_on date, other_variant_on date)""",
    f"""create table marts.{METRICS} (experiment varchar, visitor_id varchar, variant varchar, metric varchar,
        numerator decimal(18, 4), denominator decimal(18, 4), numerator_before decimal(18, 4), denominator_before decimal(18, 4),
        pre_numerator decimal(18, 4), pre_denominator decimal(18, 4), has_pre_period boolean, is_first_day boolean,
        metric_on date)""",
    f"create table marts.{HISTORY} (user_id varchar, tier varchar, language varchar, valid_from date, valid_to date)",
)
OF_EVENTS = {"Book Started": "starts", "Book Finished": "finishes", "Book Saved": "saves"}
MEANS = ("clicks", "starts", "finishes", "saves", "subscriptions", "revenue")
NAMES = ("ctr", "empty_answers", "fallback_share", *MEANS)
PRE_DAYS, COUNTED_DAYS = 14, 92


@dataclass(frozen=True)
class Request:
    """An answer to a visitor; without a variant it is of no experiment."""

    visitor: str
    at: dt.datetime
    books: int
    clicked: int
    variant: str | None
    experiment: str
    is_bot: bool
    is_empty: bool
    source: str | None
    model: str
    version: str | None

    @property
    def counts(self) -> Iterator[tuple[str, int, int]]:
        """Metric, numerator, denominator."""
        yield "ctr", self.clicked, self.books
        yield "clicks", self.clicked, 0
        yield "empty_answers", int(self.is_empty), 1
        yield "fallback_share", int(self.source not in (None, "live")), int(self.source is not None)


@dataclass(frozen=True)
class Event:
    """Something that a visitor did, or paid."""

    visitor: str
    at: dt.datetime
    metric: str
    amount: float = 1


Row = Request | Event


def request(
    visitor: str,
    day: int,
    *,
    books: int = 1,
    clicked: int = 0,
    variant: str | None = "control",
    experiment: str = "trial",
    is_bot: bool = False,
    is_empty: bool = False,
    source: str | None = "live",
    model: str = "popularity",
    version: str | None = None,
) -> Request:
    """An answer at noon of a day after the first."""
    at = FIRST + dt.timedelta(days=day, hours=12)
    return Request(visitor, at, books, clicked, variant, experiment, is_bot, is_empty, source, model, version)


def event(visitor: str, day: int, name: str, *, hour: int = 13) -> Event:
    """An event of a day after the first."""
    return Event(visitor, FIRST + dt.timedelta(days=day, hours=hour), OF_EVENTS[name])


def payment(visitor: str, day: int, amount: float, *, is_start: bool = False) -> list[Event]:
    """A payment on a day after the first, which may start a subscription."""
    at = FIRST + dt.timedelta(days=day, hours=13)
    return [Event(visitor, at, "revenue", amount), *([Event(visitor, at, "subscriptions")] if is_start else [])]


def insertions(
    rows: Sequence[Row],
    *,
    metrics: Sequence[str] = NAMES,
    staff: Iterable[str] = (),
    traits: Mapping[str, tuple[str, str]] | None = None,
) -> Iterator[str]:
    """The statements that put what follows from rows into the marts. `metrics`: of those alone. `traits`: tier and language of
    readers.
    """
    requests = [each for each in rows if isinstance(each, Request)]
    history = [(user, tier, language, dt.date(2026, 1, 1), None) for user, (tier, language) in (traits or {}).items()]
    of_tables: dict[str, list[tuple[Any, ...]]] = {
        REQUESTS: [
            (each.experiment, each.variant, each.model, each.version, each.source, each.is_bot, each.at.date())
            for each in requests
        ],
        ASSIGNMENTS: [],
        METRICS: [],
        HISTORY: history,
    }
    of_visitors: dict[str, list[Row]] = defaultdict(list)
    for each in rows:
        of_visitors[each.visitor].append(each)
    for (experiment, visitor), own in _by_reader(requests).items():
        assignment = assignment_of(experiment, visitor, own, of_visitors[visitor], staff)
        of_tables[ASSIGNMENTS].append(assignment)
        if not (assignment[7] or assignment[8]):
            of_tables[METRICS] += (
                row for row in metric_rows(experiment, own, of_visitors[visitor]) if row[3] in metrics
            )
    for table, lines in of_tables.items():
        if lines:
            texts = ("(" + ", ".join(map(literal, line)) + ")" for line in lines)
            yield f"insert into marts.{table} values {', '.join(texts)}"


def _by_reader(requests: Sequence[Request]) -> dict[tuple[str, str], list[Request]]:
    found: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for each in sorted(requests, key=lambda row: (row.is_bot, row.at)):
        if each.variant:
            found[each.experiment, each.visitor].append(each)
    return found


def assignment_of(
    experiment: str, visitor: str, own: Sequence[Request], rows: Sequence[Row], staff: Iterable[str]
) -> tuple[Any, ...]:
    """A row of `fct_experiment_assignments`; `own`: the answers of the experiment, the first one first."""
    first = own[0]
    others = [each.at.date() for each in own if each.variant != first.variant and each.is_bot == first.is_bot]
    returning = any(each.visitor == visitor and each.at.date() < first.at.date() for each in rows)
    traits = (first.is_bot, visitor in staff, returning, first.at.date(), min(others, default=None))
    return (experiment, visitor, visitor, visitor, first.variant, first.model, "web", *traits)


def metric_rows(experiment: str, own: Sequence[Request], rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    """The rows of `fct_experiment_metrics` of one visitor; `rows`: all that is known of the visitor."""
    first = own[0]
    on = first.at.date()
    before = on - dt.timedelta(days=PRE_DAYS)
    earlier = [each for each in rows if before <= each.at.date() < on and not _is_by_bot(each)]
    later = [each for each in rows if _counts(each, first) and not _is_by_bot(each)]
    known = any(isinstance(each, Request) for each in earlier)
    for metric in NAMES:
        of_reader = int(metric in MEANS)
        pre = _total(earlier, metric, of_reader) if known else (0, 0)
        days = {each.at.date() for each in later if _total([each], metric, 0) != (0, 0)} | {on}
        x_before, y_before = 0.0, 0.0
        for day in sorted(days):
            x, y = _total([each for each in later if each.at.date() == day], metric, of_reader if day == on else 0)
            yield (
                experiment,
                first.visitor,
                first.variant,
                metric,
                x,
                y,
                x_before,
                y_before,
                *pre,
                known,
                day == on,
                day,
            )
            x_before, y_before = x_before + x, y_before + y


def _is_by_bot(row: Row) -> bool:
    return isinstance(row, Request) and row.is_bot


def _counts(row: Row, first: Request) -> bool:
    """Whether it belongs to the experiment of a first answer."""
    until = first.at.date() + dt.timedelta(days=COUNTED_DAYS)
    is_of_it = row.experiment == first.experiment and bool(row.variant) if isinstance(row, Request) else True
    return is_of_it and first.at <= row.at and row.at.date() < until


def _total(rows: Sequence[Row], metric: str, of_reader: int) -> tuple[float, float]:
    """Numerator and denominator of a metric."""
    counts = [each.counts if isinstance(each, Request) else [(each.metric, each.amount, 0)] for each in rows]
    of_metric = [(x, y) for each in counts for name, x, y in each if name == metric]
    return sum(x for x, _ in of_metric), of_reader + sum(y for _, y in of_metric)
