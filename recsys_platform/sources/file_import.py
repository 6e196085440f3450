"""Turn a file of somebody's own interactions into landing objects and attribute snapshots.

Belongs here: what the columns mean, their checks, what is shown before anything is written. Does not: what the user says of the
files (reading.py), reading them (tabular.py, times.py), attributes (attribute_columns.py), names of objects (hub/).
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.errors import InputError
from recsys_platform.common.placeholders import is_no_id
from recsys_platform.hub.landing_writer import Cut, write_landing
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_days
from recsys_platform.sources.attribute_columns import Unread, attribute_records, refuse_floating_ids
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.file_options import COLUMNS, EVENTS, Reading, event_key
from recsys_platform.sources.tabular import TextTable, read_table
from recsys_platform.sources.timestamps import TimeReading, number_formats, time_reading

Days = np.ndarray[Any, np.dtype[np.datetime64]]
Records = list[dict[str, Any]]

OBJECT_RECORDS = 20_000
OBJECTS_AT_ONCE = 10
SHOWN = 3  # rows of each file that are shown before anything is written
_COLUMNS = COLUMNS["interactions"]


@dataclass(frozen=True)
class ReplaySummary:
    """What a replay wrote; `unknown_books` are in the interactions, but not in the books file (likewise `unknown_users`).

    `left_out`: rows of events that the user named nothing for; `unread`: values of attributes that were left empty.
    """

    events: int
    objects: int
    users: int
    books: int
    unknown_users: int
    unknown_books: int
    first_day: dt.date
    last_day: dt.date
    left_out: int = 0
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True)
class _Own:
    """The files as they were understood; `left_out` rows of the interactions are not among them."""

    interactions: TextTable
    times: TimeReading | None
    books: TextTable
    users: TextTable | None
    book_records: Records
    user_records: Records
    unread: tuple[Unread, ...]
    left_out: int


# A rating on another scale is moved to 1 to 5 in proportion. `$events` are names for `$keys`.
_CHECKED = """
with rated as (
    select
        *,
        if(try_cast(rating as double) = $unrated, null, rating) as said_rating,
        try_cast(if($decimal_comma, replace(rating, ',', '.'), rating) as double) as number
    from given
)

select
    row,
    user_id,
    book_id,
    "timestamp" as said_time,
    rating as given_rating,
    said_rating,
    event as said_event,
    if($timed, moment, make_timestamp($midnight)) as moment,
    case
        when said_rating is null then null
        when $low is null then number
        when number between $low and $high then round(1 + (number - $low) * 4 / ($high - $low), 2)
    end as stars,
    coalesce(
        list_extract($events, list_position($keys, lower(trim(replace(event, '_', ' '))))),
        if(event is null, if(said_rating is null, 'Book Finished', 'Book Rated'), null)
    ) as name
from rated
"""

# The first bad row of each kind; the order is that of the columns.
_PROBLEMS = {
    "user_id": "user_id is null or list_contains($nobody, lower(user_id))",
    "book_id": "book_id is null or list_contains($nobody, lower(book_id))",
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
        messageId: md5(to_json([user_id, book_id, said_time, given_rating, said_event])::varchar)::uuid::varchar,
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
    reading: Reading | None = None,
    book_columns: Mapping[str, str] | None = None,
    preview: Callable[[str], None] | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReplaySummary:
    """Write the interactions as landing objects and the books and users as complete snapshots of `date`.

    `interactions` has the columns `user_id, book_id[, timestamp][, rating][, event]`; `reading` says what is named or written
    otherwise, `book_columns` the same of columns of `books` alone. Without timestamps everything happens at midnight (UTC)
    of `date`; each event arrives in the last hour of its day. The same files give the same objects and keys.
    Before anything is written `preview` is told, a line a call, what was taken for what; a dry run ends there.
    Raises InputError, before anything is written, for the first value that cannot be used.
    """
    reading = _with_book_columns(reading or Reading(), book_columns or {})
    _refuse_older(hub, date)
    own = _read_own(interactions, books, users, reading)
    with duckdb.connect(config={"threads": 2}) as connection:
        days = _check(connection, own, reading, date=date)
        for line in _preview(connection, own, reading) if preview else ():
            preview(line)  # type: ignore[misc]
        cuts = _cuts(days)
        if not dry_run:
            _land(hub, connection, cuts, progress=progress)
            store_snapshot(hub, "book_attributes", date, own.book_records)
            store_snapshot(hub, "user_attributes", date, own.user_records)
    return _summary(own, days, objects=len(cuts))


def _with_book_columns(reading: Reading, columns: Mapping[str, str]) -> Reading:
    books = {**reading.own_columns.get("books", {}), **columns}
    return replace(reading, own_columns={**reading.own_columns, "books": books})


def _refuse_older(hub: Hub, date: dt.date) -> None:
    """Raise where the newest snapshot of the hub would stay in use instead of the one that is brought."""
    kinds: tuple[Attributes, ...] = ("book_attributes", "user_attributes")
    for kind in kinds:
        newer = [day for day in snapshot_days(hub, kind) if day > date]
        if newer:
            raise InputError(
                f"{hub.where('')} holds {kind} of {newer[-1]}, which are newer than those of this replay ({date}) and would stay "
                "in use instead of them. Set RECSYS_HOME to another folder for your own data, or, if the world is yours, give "
                f"--date {newer[-1]} or later."
            )


def _read_own(interactions: Path, books: Path, users: Path | None, reading: Reading) -> _Own:
    given = read_table(interactions, required=("user_id", "book_id"), layout=reading.layout("interactions"))
    rows = len(given.rows)
    given = given.without("event", _left_out(given, reading))
    if not len(given.rows):
        raise InputError(f"{interactions} has no rows left: every event is one that --event leaves out.")
    for key in ("user_id", "book_id"):
        refuse_floating_ids(given, key)
    book_table = read_table(books, required=("book_id",), layout=reading.layout("books"))
    user_table = read_table(users, required=("user_id",), layout=reading.layout("users")) if users else None
    _refuse_unused(reading, [given, book_table, *([user_table] if user_table else [])])
    book_records, unread = attribute_records(book_table, key="book_id", time_formats=reading.time_formats)
    for record in book_records:
        record.setdefault("is_available", True)
    user_records, unread_of_users = _user_records(user_table, given, reading)
    times = _times(given, reading)
    told = (*unread, *unread_of_users)
    return _Own(given, times, book_table, user_table, book_records, user_records, told, left_out=rows - len(given.rows))


def _left_out(given: TextTable, reading: Reading) -> list[str]:
    """The events, as the file writes them, whose rows are left out."""
    if not reading.left_out or "event" not in given.rows.column_names:
        return []
    events = pc.unique(given.rows.column("event")).drop_null().to_pylist()
    return [event for event in events if event_key(event) in reading.left_out]


def _refuse_unused(reading: Reading, tables: Sequence[TextTable]) -> None:
    for ours, theirs in reading.columns.items():
        if not any(table.columns.get(ours) == theirs for table in tables):
            names = "; ".join(f"{table.path} has {', '.join(table.names)}" for table in tables)
            raise InputError(f"--column {ours}={theirs}: no file for it has a column {theirs} ({names}).")


def _user_records(users: TextTable | None, given: TextTable, reading: Reading) -> tuple[Records, list[Unread]]:
    if users is None:
        ids = sorted(pc.unique(given.rows.column("user_id")).drop_null().to_pylist())
        return [{"user_id": user} for user in ids], []
    return attribute_records(users, key="user_id", time_formats=reading.time_formats)


def _times(given: TextTable, reading: Reading) -> TimeReading | None:
    if "timestamp" not in given.rows.column_names:
        return None
    where = f"{given.path}, column {given.theirs('timestamp')}"
    texts = given.rows.column("timestamp")
    return time_reading(texts, given=reading.time_formats.get("timestamp"), name="timestamp", where=where)


def _check(connection: duckdb.DuckDBPyConnection, own: _Own, reading: Reading, *, date: dt.date) -> Days:
    """Make the table `ordered`, by day and then as in the file; the days, shape (n,). Raises InputError for a bad row."""
    connection.execute("set timezone = 'UTC'")
    table = _with_all_columns(own, reading.last_day)
    connection.register("given", table)
    connection.execute(f"create temp table checked as {_CHECKED}", _arguments(own, reading, table, date=date))
    _raise_first_problem(connection, own, reading, date=date)
    connection.execute(
        "create temp table ordered as select *, row_number() over (order by moment::date, row) - 1 as place from checked"
    )
    found = connection.sql("select moment::date as day from ordered order by place").to_arrow_table()
    return np.asarray(found.column("day").to_numpy().astype("datetime64[D]"))


def _arguments(own: _Own, reading: Reading, table: pa.Table, *, date: dt.date) -> dict[str, Any]:
    midnight = dt.datetime.combine(date, dt.time(), dt.UTC)
    names = {event_key(name): name for name in EVENTS} | {
        theirs: ours for theirs, ours in reading.events.items() if ours
    }
    low, high = reading.rating_scale or (None, None)
    return {
        "timed": own.times is not None,
        "midnight": int(midnight.timestamp()) * 1_000_000,
        "events": list(names.values()),
        "keys": list(names),
        "unrated": reading.unrated,
        "decimal_comma": reading.decimal_comma,
        "low": low,
        "high": high,
    }


def _shift(moments: pa.ChunkedArray, last_day: dt.date | None) -> dt.timedelta:
    """The whole days by which all times move."""
    latest = pc.max(moments).as_py()
    return dt.timedelta() if last_day is None or latest is None else last_day - latest.date()


def _summary(own: _Own, days: Days, *, objects: int) -> ReplaySummary:
    return ReplaySummary(
        events=len(days),
        objects=objects,
        users=len(own.user_records),
        books=len(own.book_records),
        unknown_users=_unknown(own.interactions, "user_id", own.user_records),
        unknown_books=_unknown(own.interactions, "book_id", own.book_records),
        first_day=days[0].item(),
        last_day=days[-1].item(),
        left_out=own.left_out,
        unread=own.unread,
    )


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


def _with_all_columns(own: _Own, last_day: dt.date | None) -> pa.Table:
    rows = own.interactions.rows
    columns: dict[str, Any] = {"row": pa.array(np.arange(len(rows)))}
    for name in _COLUMNS:
        columns[name] = rows.column(name) if name in rows.column_names else pa.nulls(len(rows), pa.string())
    if own.times is None:
        return pa.table({**columns, "moment": pa.nulls(len(rows), pa.timestamp("us"))})
    moments = own.times.moments(rows.column("timestamp"))
    return pa.table({**columns, "moment": pc.add(moments, _shift(moments, last_day))})


def _raise_first_problem(connection: duckdb.DuckDBPyConnection, own: _Own, reading: Reading, *, date: dt.date) -> None:
    """Raise for the earliest row with a bad value, if there is one."""
    found = []
    arguments = {"last": date, "nobody": _ids_of_nobody(own.interactions)}
    for column, condition in _PROBLEMS.items():
        needed = {name: value for name, value in arguments.items() if f"${name}" in condition}
        query = (
            f"select row, user_id, book_id, said_time, said_rating, said_event, moment from checked where {condition}"
        )
        bad = connection.execute(f"{query} order by row limit 1", needed).fetchone()
        if bad is not None:
            said = dict(zip(_COLUMNS, (bad[1], bad[2], bad[3], bad[4], bad[5]), strict=True))
            found.append((bad[0], column, _explanation(column, said, bad[6], reading, date)))
    if found:
        raise own.interactions.error_at(*min(found, key=lambda problem: problem[0]))


def _ids_of_nobody(given: TextTable) -> list[str]:
    """The ids, in lower case, that name nobody and nothing."""
    ids = (pc.unique(given.rows.column(key)).drop_null().to_pylist() for key in ("user_id", "book_id"))
    return sorted({each.lower() for some in ids for each in some if isinstance(each, str) and is_no_id(each)})


def _explanation(
    column: str, said: Mapping[str, str | None], moment: dt.datetime | None, reading: Reading, date: dt.date
) -> str:
    text = said[column]
    if column == "timestamp":
        return _time_problem(text, moment, reading, date)
    if column == "rating":
        return _rating_problem(text, reading)
    if column == "event":
        return f"{text!r} cannot be replayed. Use one of: {', '.join(EVENTS)}; or say which it is: --event '{text}=Book Viewed'."
    what = "empty" if text is None else f"{text!r} names nobody" if column == "user_id" else f"{text!r} names nothing"
    return f"{what}. Every row needs one: fill it in or drop the row."


def _time_problem(text: str | None, moment: dt.datetime | None, reading: Reading, date: dt.date) -> str:
    if text is None:
        return "no time. Fill it in or drop the column."
    if moment is None:
        if "timestamp" in reading.time_formats:
            return f"{text!r} is not of the form {reading.time_formats['timestamp']}. Correct it or the --time-format."
        if _is_number(text):
            return _number_problem(text)
        return (
            f"{text!r} is no time. Give ISO 8601 (2026-01-31T12:00:00Z) or seconds or milliseconds since 1970, or its form: "
            "--time-format '%d.%m.%Y %H:%M'."
        )
    if moment.year < 2000:
        return f"{text!r} is before the year 2000, where events are not valid. Correct it or shift all times: --last-day {date}."
    return f"{text!r} is after the replay's date {date}. Correct it or give a later date."


def _number_problem(text: str) -> str:
    options = " or ".join(f"--time-format '{form}'" for form in (*number_formats(text), "seconds"))
    return (
        f"{text!r} is too small or too large for seconds, milliseconds, microseconds or nanoseconds since 1970. Say what it is: "
        f"{options}."
    )


def _rating_problem(text: str | None, reading: Reading) -> str:
    if text is None:
        return "empty, but the event is Book Rated. Fill it in."
    if "," in text and not reading.decimal_comma and _is_number(text.replace(",", ".")):
        return f"{text!r} has a decimal comma. Give --decimal-comma, or write {text.replace(',', '.')}."
    if reading.rating_scale is not None:
        low, high = reading.rating_scale
        none = " If it means that there is no rating, give --unrated." if _is_number(text) else ""
        return f"{text!r} is no number from {low:g} to {high:g}, the --rating-scale. Correct it or drop it.{none}"
    scale = " Or name the scale, such as --rating-scale 0.5:5 or 1:10." if _is_number(text) else ""
    return f"{text!r} is no number from 1 to 5. Rescale or drop it.{scale}"


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _cuts(days: Days) -> list[Cut]:
    """Objects of at most OBJECT_RECORDS records of one day, which all arrive in its last hour."""
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]).tolist()
    cuts = []
    for start, stop in zip(starts, [*starts[1:], len(days)], strict=True):
        arrival = dt.datetime.combine(days[start].item(), dt.time(23))
        cuts += [Cut(arrival, first, min(first + OBJECT_RECORDS, stop)) for first in range(start, stop, OBJECT_RECORDS)]
    return cuts


def _preview(connection: duckdb.DuckDBPyConnection, own: _Own, reading: Reading) -> Iterator[str]:
    """What was taken for what: the columns of each file, and its first rows."""
    yield _columns_line(own.interactions)
    yield from _event_lines(connection, own, reading)
    files = ((own.books, own.book_records, "books"), (own.users, own.user_records, "users"))
    for table, records, kind in files:
        if table is None:
            yield f"no {kind} file: the {len(records):,} of the interactions, without attributes"
            continue
        yield _columns_line(table)
        for row, record in enumerate(records[:SHOWN]):
            yield f"  {table.place(row)}: {json.dumps(record, ensure_ascii=False)}"


def _columns_line(table: TextTable) -> str:
    named = [f"{ours} from {theirs}" if ours != theirs else ours for ours, theirs in table.columns.items()]
    same = [name for name in table.rows.column_names if name not in table.columns]
    told = f"{table.path}: {table.form}, {len(table.rows):,} rows; {', '.join([*named, *same])}"
    return told + (f"; not used: {', '.join(table.unused)}" if table.unused else "")


def _event_lines(connection: duckdb.DuckDBPyConnection, own: _Own, reading: Reading) -> Iterator[str]:
    query = "select row, user_id, book_id, said_time, given_rating, said_event, moment, stars, name from checked order by row limit ?"
    for row, user, book, time, rating, event, moment, stars, name in connection.execute(query, [SHOWN]).fetchall():
        said = dict(zip(_COLUMNS, (user, book, time, rating, event), strict=True))
        read = f"{name}, user {user}, book {book}"
        if rating is not None:
            read += f", {stars:g} of 5 stars" if stars is not None else ", no rating"
        read += f", at {moment:%Y-%m-%dT%H:%M:%SZ}"
        if own.times is not None and time is not None:
            shifted = f", moved to end on {reading.last_day}" if reading.last_day else ""
            read += f" (from {own.times.sentence(time)}{shifted})"
        texts = [f"{own.interactions.theirs(column)} {text}" for column, text in said.items() if text is not None]
        yield f"  {own.interactions.place(row)}: {', '.join(texts)} → {read}"


def _unknown(given: TextTable, key: str, records: list[dict[str, Any]]) -> int:
    """How many ids of the interactions have no attributes."""
    known = {record[key] for record in records}
    return sum(each not in known for each in pc.unique(given.rows.column(key)).to_pylist())
