"""Turn a file of somebody's own interactions into landing objects and attribute snapshots.

Belongs here: what the columns mean, and their checks. Does not: reading files (tabular.py), names of objects (hub/).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.errors import InputError
from recsys_platform.events.tabular import TextTable, read_table
from recsys_platform.hub.attributes import store_snapshot
from recsys_platform.hub.landing import Cut, write_landing
from recsys_platform.hub.store import Hub

Days = np.ndarray[Any, np.dtype[np.datetime64]]

OBJECT_RECORDS = 20_000
OBJECTS_AT_ONCE = 10
# What a row of user, book and rating can say; the other events need properties that such a file has not.
EVENTS = ("Book Viewed", "Book Started", "Book Finished", "Book Saved", "Book Removed", "Book Rated")
LISTS = ("categories", "interests")
BOOLEANS = ("is_premium", "is_available")
NUMBERS = ("reading_minutes",)
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


@dataclass(frozen=True)
class ReplaySummary:
    """What a replay wrote; `unknown_books` are in the interactions, but not in the books file (likewise `unknown_users`)."""

    events: int
    objects: int
    users: int
    books: int
    unknown_users: int
    unknown_books: int
    first_day: dt.date
    last_day: dt.date


# Epoch seconds have at most 11 digits; a text without a zone is UTC. `moment` is null where neither can be read.
_CHECKED = """
select
    row,
    user_id,
    book_id,
    "timestamp" as said_time,
    rating as said_rating,
    event as said_event,
    case
        when not $timed then make_timestamp($midnight)
        when try_cast("timestamp" as double) between 0 and 99999999999
            then make_timestamp((try_cast("timestamp" as double) * 1000000)::bigint)
        when try_cast("timestamp" as double) is null then try_cast("timestamp" as timestamptz)::timestamp
    end as moment,
    try_cast(rating as double) as stars,
    coalesce(
        list_extract($events, list_position($keys, lower(replace(event, '_', ' ')))),
        if(event is null, if(rating is null, 'Book Finished', 'Book Rated'), null)
    ) as name
from given
"""

# The first bad row of each kind; the order is that of the columns.
_PROBLEMS = {
    "user_id": "user_id is null",
    "book_id": "book_id is null",
    "timestamp": "moment is null or moment::date > $last::date or moment < timestamp '2000-01-01'",
    "rating": "(said_rating is not null and not coalesce(stars between 1 and 5, false)) or (name = 'Book Rated' and stars is null)",
    "event": "name is null",
}

_RECORDS = """
with timed as (
    select *, strftime(moment, '%Y-%m-%dT%H:%M:%S.%gZ') as said_at from ordered where place >= $first and place < $stop
)

select
    to_json({
        type: 'track', event: name,
        messageId: md5(to_json([user_id, book_id, said_time, said_rating, said_event])::varchar)::uuid::varchar,
        userId: user_id, anonymousId: null,
        originalTimestamp: said_at, sentAt: said_at, receivedAt: said_at, "timestamp": said_at,
        context: {library: {name: 'recsys-replay', version: '1'}},
        properties: case
            when stars is null then to_json({book_id: book_id})
            when stars = floor(stars) then to_json({book_id: book_id, rating: stars::integer})
            else to_json({book_id: book_id, rating: stars})
        end
    })::varchar as record
from timed
order by place
"""


def replay(
    hub: Hub,
    *,
    interactions: Path,
    books: Path,
    users: Path | None = None,
    date: dt.date,
    book_columns: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReplaySummary:
    """Write the interactions as landing objects and the books and users as complete snapshots of `date`.

    `interactions` has the columns `user_id, book_id[, timestamp][, rating][, event]`; `book_columns` maps an attribute to
    the column of `books` that holds it, where the names differ. Without timestamps everything happens at midnight (UTC)
    of `date`; each event arrives in the last hour of its day. The same files give the same objects and keys.
    Raises InputError, before anything is written, for the first value that cannot be used.
    """
    given = read_table(interactions, required=("user_id", "book_id"))
    book_records = _book_records(books, book_columns or {})
    user_records = _user_records(users, given)
    with duckdb.connect(config={"threads": 2}) as connection:
        days = _check(connection, given, date=date)
        _land(hub, connection, cuts := _cuts(days), progress=progress)
    store_snapshot(hub, "book_attributes", date, book_records)
    store_snapshot(hub, "user_attributes", date, user_records)
    return ReplaySummary(
        events=len(days),
        objects=len(cuts),
        users=len(user_records),
        books=len(book_records),
        unknown_users=_unknown(given, "user_id", user_records),
        unknown_books=_unknown(given, "book_id", book_records),
        first_day=days[0].item(),
        last_day=days[-1].item(),
    )


def _check(connection: duckdb.DuckDBPyConnection, given: TextTable, *, date: dt.date) -> Days:
    """Make the table `ordered`, by day and then as in the file; the days, shape (n,). Raises InputError for a bad row."""
    midnight = dt.datetime.combine(date, dt.time(), dt.UTC)
    connection.execute("set timezone = 'UTC'")
    connection.register("given", _with_all_columns(given))
    arguments = {
        "timed": "timestamp" in given.rows.column_names,
        "midnight": int(midnight.timestamp()) * 1_000_000,
        "events": list(EVENTS),
        "keys": [name.lower() for name in EVENTS],
    }
    connection.execute(f"create temp table checked as {_CHECKED}", arguments)
    _raise_first_problem(connection, given, date=date)
    connection.execute(
        "create temp table ordered as select *, row_number() over (order by moment::date, row) - 1 as place from checked"
    )
    found = connection.sql("select moment::date as day from ordered order by place").to_arrow_table()
    return np.asarray(found.column("day").to_numpy().astype("datetime64[D]"))


def _land(
    hub: Hub, connection: duckdb.DuckDBPyConnection, cuts: Sequence[Cut], *, progress: Callable[[int, int], None] | None
) -> None:
    """Write the objects, some at a time, so that only their text is in memory."""
    for start in range(0, len(cuts), OBJECTS_AT_ONCE):
        some = cuts[start : start + OBJECTS_AT_ONCE]
        first, stop = some[0].start, some[-1].stop
        records = connection.sql(_RECORDS, params={"first": first, "stop": stop}).to_arrow_table().column("record")
        shifted = [Cut(cut.arrival, cut.start - first, cut.stop - first) for cut in some]
        write_landing(hub, records.combine_chunks(), source="segment", cuts=shifted, stream="replay")
        if progress is not None:
            progress(start + len(some), len(cuts))


def _with_all_columns(given: TextTable) -> pa.Table:
    rows = given.rows
    columns: dict[str, Any] = {"row": pa.array(np.arange(len(rows)))}
    for name in ("user_id", "book_id", "timestamp", "rating", "event"):
        columns[name] = rows.column(name) if name in rows.column_names else pa.nulls(len(rows), pa.string())
    return pa.table(columns)


def _raise_first_problem(connection: duckdb.DuckDBPyConnection, given: TextTable, *, date: dt.date) -> None:
    """Raise for the earliest row with a bad value, if there is one."""
    found = []
    for column, condition in _PROBLEMS.items():
        arguments = {"last": date} if "$last" in condition else {}
        query = f"select row, said_time, said_rating, said_event, moment from checked where {condition} order by row limit 1"
        bad = connection.execute(query, arguments).fetchone()
        if bad is not None:
            found.append((bad[0], column, _explanation(column, bad[1:], date)))
    if found:
        raise given.error_at(*min(found, key=lambda problem: problem[0]))


def _explanation(column: str, bad: tuple[Any, ...], date: dt.date) -> str:
    time, rating, event, moment = bad
    if column == "timestamp" and moment is not None:
        if moment.year < 2000:
            return f"{time!r} is before the year 2000, where events are not valid. Correct it or shift all times."
        return f"{time!r} is after the replay's date {date}. Correct it or give a later date."
    return {
        "timestamp": f"{time!r} is no time. Give ISO 8601 (2026-01-31T12:00:00Z) or seconds since 1970."
        if time
        else "no time. Fill it in or drop the column.",
        "rating": f"{rating!r} is no number from 1 to 5. Rescale or drop it."
        if rating
        else "empty, but the event is Book Rated. Fill it in.",
        "event": f"{event!r} cannot be replayed. Use one of: {', '.join(EVENTS)}.",
    }.get(column, "empty. Every row needs one: fill it in or drop the row.")


def _cuts(days: Days) -> list[Cut]:
    """Objects of at most OBJECT_RECORDS records of one day, which all arrive in its last hour."""
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]).tolist()
    cuts = []
    for start, stop in zip(starts, [*starts[1:], len(days)], strict=True):
        arrival = dt.datetime.combine(days[start].item(), dt.time(23))
        cuts += [Cut(arrival, first, min(first + OBJECT_RECORDS, stop)) for first in range(start, stop, OBJECT_RECORDS)]
    return cuts


def _book_records(path: Path, names: Mapping[str, str]) -> list[dict[str, Any]]:
    table = read_table(path, required=(names.get("book_id", "book_id"),))
    records = _attribute_records(_rename(table, names), key="book_id")
    for record in records:
        record.setdefault("is_available", True)
    return records


def _user_records(users: Path | None, given: TextTable) -> list[dict[str, Any]]:
    if users is None:
        return [{"user_id": user} for user in sorted(pc.unique(given.rows.column("user_id")).drop_null().to_pylist())]
    return _attribute_records(read_table(users, required=("user_id",)), key="user_id")


def _rename(table: TextTable, names: Mapping[str, str]) -> TextTable:
    """The table with columns called as the attributes they hold; one of that name already gives way."""
    rows = table.rows
    for attribute, column in names.items():
        if column not in rows.column_names:
            raise InputError(
                f"{table.path} has no column {column} to take {attribute} from (it has: {', '.join(rows.column_names)})."
            )
    moved = {attribute: rows.column(column) for attribute, column in names.items()}
    kept = {name: rows.column(name) for name in rows.column_names if name not in moved and name not in names.values()}
    return TextTable(path=table.path, rows=pa.table(moved | kept), is_csv=table.is_csv)


def _attribute_records(table: TextTable, *, key: str) -> list[dict[str, Any]]:
    """One record for each row, without empty values; ids are present and unique."""
    _check_key(table, key)
    for name in (*BOOLEANS, *NUMBERS):
        _check_values(table, name)
    return [
        {name: _value(name, value) for name, value in row.items() if value is not None}
        for row in table.rows.to_pylist()
    ]


def _check_key(table: TextTable, key: str) -> None:
    ids = table.rows.column(key)
    if ids.null_count:
        raise table.error_at(
            pc.index(pc.is_null(ids), True).as_py(), key, "empty. Every row needs one: fill it in or drop the row."
        )
    seen: set[str] = set()
    for row, each in enumerate(ids.to_pylist()):
        if each in seen:
            raise table.error_at(row, key, f"{each!r} appears a second time. Keep one row for each.")
        seen.add(each)


def _check_values(table: TextTable, name: str) -> None:
    if name not in table.rows.column_names:
        return
    for row, value in enumerate(table.rows.column(name).to_pylist()):
        if value is not None and _value(name, value) is None:
            wanted = "a number" if name in NUMBERS else "true or false"
            raise table.error_at(row, name, f"{value!r} is not {wanted}. Correct it or leave it empty.")


def _value(name: str, value: Any) -> Any:
    """A text as the attribute's type; None if it is not of that type."""
    if not isinstance(value, str):
        return value
    if name in LISTS:
        return [part.strip() for part in value.split("|") if part.strip()]
    if name in BOOLEANS:
        return True if value.lower() in _TRUE else False if value.lower() in _FALSE else None
    return _number(value) if name in NUMBERS else value


def _number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _unknown(given: TextTable, key: str, records: list[dict[str, Any]]) -> int:
    """How many ids of the interactions have no attributes."""
    known = {record[key] for record in records}
    return sum(each not in known for each in pc.unique(given.rows.column(key)).to_pylist())
