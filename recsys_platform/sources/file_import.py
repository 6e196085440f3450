"""Import your own interactions, books and users as landing objects and attribute snapshots.

Belongs here: the meaning of the columns, their checks, the preview. Does not: options (file_options.py), reading files (tabular.py,
timestamps.py), attributes (attribute_columns.py), names of objects (hub/).
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
from recsys_platform.hub.landing_writer import ObjectRange, write_landing
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_days
from recsys_platform.sources.attribute_columns import UnreadableValues, attribute_records, refuse_floating_ids
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.file_options import COLUMNS, EVENTS, ImportOptions, event_key
from recsys_platform.sources.tabular import TextTable, read_table
from recsys_platform.sources.timestamps import TimeFormat, detect_time_format, number_formats

Days = np.ndarray[Any, np.dtype[np.datetime64]]
Records = list[dict[str, Any]]

OBJECT_RECORDS = 20_000
STREAM = "replay"  # part of the objects' keys, and so a contract, like the library name in the records
OBJECTS_AT_ONCE = 10
PREVIEW_ROWS = 3  # rows of each file in the preview
_COLUMNS = COLUMNS["interactions"]


@dataclass(frozen=True)
class ImportSummary:
    """The result of an import. `unknown_books` are in the interactions but not in the books file (likewise `unknown_users`).

    `left_out`: rows whose event is skipped; `unread`: attribute values that could not be read and were left empty.
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
    unread: tuple[UnreadableValues, ...] = ()


@dataclass(frozen=True)
class _OwnFiles:
    """The parsed files, without the `left_out` skipped rows of the interactions."""

    interactions: TextTable
    times: TimeFormat | None
    books: TextTable
    users: TextTable | None
    book_records: Records
    user_records: Records
    unread: tuple[UnreadableValues, ...]
    left_out: int


# A rating on another scale is converted linearly to 1 to 5. `$events` are the names for `$keys`.
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

# The conditions of invalid rows, in the order of the columns.
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


def import_files(
    hub: Hub,
    *,
    interactions: Path,
    books: Path,
    users: Path | None = None,
    date: dt.date,
    options: ImportOptions | None = None,
    book_columns: Mapping[str, str] | None = None,
    preview: Callable[[str], None] | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Write interactions as landing objects, and books and users as complete snapshots of `date`.

    Args:
        interactions: file with the columns `user_id, book_id[, timestamp][, rating][, event]`. Without timestamps every event happens
            at midnight (UTC) of `date`. An event arrives in the last hour of its day.
        books, users: files with one row for each book and user; without `users` they have no attributes.
        date: day of the snapshots; no event may be later.
        options: other column names and formats; `book_columns`: other column names of `books` alone.
        preview: called for each line of the preview, before anything is written; `dry_run` stops after it.
        progress: called with the objects written so far and in total.

    Returns what was written; the same files give the same objects. Raises InputError for the first invalid value, before writing.
    """
    options = _with_book_columns(options or ImportOptions(), book_columns or {})
    _refuse_older(hub, date)
    own = _read_files(interactions, books, users, options)
    with duckdb.connect(config={"threads": 2}) as connection:
        days = _check_interactions(connection, own, options, date=date)
        for line in _preview_lines(connection, own, options) if preview else ():
            preview(line)  # type: ignore[misc]
        ranges = _daily_ranges(days)
        if not dry_run:
            _write_events(hub, connection, ranges, progress=progress)
            store_snapshot(hub, "book_attributes", date, own.book_records)
            store_snapshot(hub, "user_attributes", date, own.user_records)
    return _import_summary(own, days, objects=len(ranges))


def _with_book_columns(options: ImportOptions, columns: Mapping[str, str]) -> ImportOptions:
    books = {**options.own_columns.get("books", {}), **columns}
    return replace(options, own_columns={**options.own_columns, "books": books})


def _refuse_older(hub: Hub, date: dt.date) -> None:
    """Raise InputError if the hub has a newer snapshot, which would stay in use instead of the imported one."""
    kinds: tuple[Attributes, ...] = ("book_attributes", "user_attributes")
    for kind in kinds:
        newer = [day for day in snapshot_days(hub, kind) if day > date]
        if newer:
            raise InputError(
                f"{hub.where('')} holds {kind} of {newer[-1]}, which are newer than those of this import ({date}) and would stay "
                "in use. Set RECSYS_HOME to another folder for your own data or, if this is your own world, give "
                f"--date {newer[-1]} or later."
            )


def _read_files(interactions: Path, books: Path, users: Path | None, options: ImportOptions) -> _OwnFiles:
    given = read_table(interactions, required=("user_id", "book_id"), layout=options.layout("interactions"))
    rows = len(given.rows)
    given = given.without("event", _left_out(given, options))
    if not len(given.rows):
        raise InputError(f"{interactions} has no rows left: every event is one that --event leaves out.")
    for key in ("user_id", "book_id"):
        refuse_floating_ids(given, key)
    book_table = read_table(books, required=("book_id",), layout=options.layout("books"))
    user_table = read_table(users, required=("user_id",), layout=options.layout("users")) if users else None
    _refuse_unused(options, [given, book_table, *([user_table] if user_table else [])])
    book_records, unread = attribute_records(book_table, key="book_id", time_formats=options.time_formats)
    for record in book_records:
        record.setdefault("is_available", True)
    user_records, unread_of_users = _user_records(user_table, given, options)
    times = _time_format_of(given, options)
    unreadable = (*unread, *unread_of_users)
    return _OwnFiles(
        given, times, book_table, user_table, book_records, user_records, unreadable, left_out=rows - len(given.rows)
    )


def _left_out(given: TextTable, options: ImportOptions) -> list[str]:
    """The events, as written in the file, whose rows are skipped."""
    if not options.left_out or "event" not in given.rows.column_names:
        return []
    events = pc.unique(given.rows.column("event")).drop_null().to_pylist()
    return [event for event in events if event_key(event) in options.left_out]


def _refuse_unused(options: ImportOptions, tables: Sequence[TextTable]) -> None:
    for ours, theirs in options.columns.items():
        if not any(table.columns.get(ours) == theirs for table in tables):
            names = "; ".join(f"{table.path} has {', '.join(table.names)}" for table in tables)
            raise InputError(f"--column {ours}={theirs}: no file for it has a column {theirs} ({names}).")


def _user_records(
    users: TextTable | None, given: TextTable, options: ImportOptions
) -> tuple[Records, list[UnreadableValues]]:
    if users is None:
        ids = sorted(pc.unique(given.rows.column("user_id")).drop_null().to_pylist())
        return [{"user_id": user} for user in ids], []
    return attribute_records(users, key="user_id", time_formats=options.time_formats)


def _time_format_of(given: TextTable, options: ImportOptions) -> TimeFormat | None:
    if "timestamp" not in given.rows.column_names:
        return None
    where = f"{given.path}, column {given.theirs('timestamp')}"
    texts = given.rows.column("timestamp")
    return detect_time_format(texts, given=options.time_formats.get("timestamp"), name="timestamp", where=where)


def _check_interactions(
    connection: duckdb.DuckDBPyConnection, own: _OwnFiles, options: ImportOptions, *, date: dt.date
) -> Days:
    """Create the table `ordered`, by day and then in file order; returns the days, shape (n,). Raises InputError for a bad row."""
    connection.execute("set timezone = 'UTC'")
    table = _with_all_columns(own, options.last_day)
    connection.register("given", table)
    connection.execute(f"create temp table checked as {_CHECKED}", _query_parameters(own, options, table, date=date))
    _raise_first_problem(connection, own, options, date=date)
    connection.execute(
        "create temp table ordered as select *, row_number() over (order by moment::date, row) - 1 as place from checked"
    )
    found = connection.sql("select moment::date as day from ordered order by place").to_arrow_table()
    return np.asarray(found.column("day").to_numpy().astype("datetime64[D]"))


def _query_parameters(own: _OwnFiles, options: ImportOptions, table: pa.Table, *, date: dt.date) -> dict[str, Any]:
    midnight = dt.datetime.combine(date, dt.time(), dt.UTC)
    names = {event_key(name): name for name in EVENTS} | {
        theirs: ours for theirs, ours in options.events.items() if ours
    }
    low, high = options.rating_scale or (None, None)
    return {
        "timed": own.times is not None,
        "midnight": int(midnight.timestamp()) * 1_000_000,
        "events": list(names.values()),
        "keys": list(names),
        "unrated": options.unrated,
        "decimal_comma": options.decimal_comma,
        "low": low,
        "high": high,
    }


def _time_shift(moments: pa.ChunkedArray, last_day: dt.date | None) -> dt.timedelta:
    """The whole days by which all times are shifted."""
    latest = pc.max(moments).as_py()
    return dt.timedelta() if last_day is None or latest is None else last_day - latest.date()


def _import_summary(own: _OwnFiles, days: Days, *, objects: int) -> ImportSummary:
    return ImportSummary(
        events=len(days),
        objects=objects,
        users=len(own.user_records),
        books=len(own.book_records),
        unknown_users=_count_unknown(own.interactions, "user_id", own.user_records),
        unknown_books=_count_unknown(own.interactions, "book_id", own.book_records),
        first_day=days[0].item(),
        last_day=days[-1].item(),
        left_out=own.left_out,
        unread=own.unread,
    )


def _write_events(
    hub: Hub,
    connection: duckdb.DuckDBPyConnection,
    ranges: Sequence[ObjectRange],
    *,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the objects in batches, so that only one batch is in memory as text."""
    for start in range(0, len(ranges), OBJECTS_AT_ONCE):
        some = ranges[start : start + OBJECTS_AT_ONCE]
        first, stop = some[0].start, some[-1].stop
        records = connection.sql(_RECORDS, params={"first": first, "stop": stop}).to_arrow_table().column("record")
        shifted = [ObjectRange(cut.arrival, cut.start - first, cut.stop - first) for cut in some]
        write_landing(hub, records.combine_chunks(), source="segment", ranges=shifted, stream=STREAM)
        if progress is not None:
            progress(start + len(some), len(ranges))


def _with_all_columns(own: _OwnFiles, last_day: dt.date | None) -> pa.Table:
    rows = own.interactions.rows
    columns: dict[str, Any] = {"row": pa.array(np.arange(len(rows)))}
    for name in _COLUMNS:
        columns[name] = rows.column(name) if name in rows.column_names else pa.nulls(len(rows), pa.string())
    if own.times is None:
        return pa.table({**columns, "moment": pa.nulls(len(rows), pa.timestamp("us"))})
    moments = own.times.moments(rows.column("timestamp"))
    return pa.table({**columns, "moment": pc.add(moments, _time_shift(moments, last_day))})


def _raise_first_problem(
    connection: duckdb.DuckDBPyConnection, own: _OwnFiles, options: ImportOptions, *, date: dt.date
) -> None:
    """Raise InputError for the first row with an invalid value, if there is one."""
    found = []
    arguments = {"last": date, "nobody": _ids_of_nobody(own.interactions)}
    for column, condition in _PROBLEMS.items():
        needed = {name: value for name, value in arguments.items() if f"${name}" in condition}
        query = (
            f"select row, user_id, book_id, said_time, said_rating, said_event, moment from checked where {condition}"
        )
        bad = connection.execute(f"{query} order by row limit 1", needed).fetchone()
        if bad is not None:
            texts = dict(zip(_COLUMNS, (bad[1], bad[2], bad[3], bad[4], bad[5]), strict=True))
            found.append((bad[0], column, _explain_problem(column, texts, bad[6], options, date)))
    if found:
        raise own.interactions.error_at(*min(found, key=lambda problem: problem[0]))


def _ids_of_nobody(given: TextTable) -> list[str]:
    """The ids, in lower case, that are placeholders."""
    ids = (pc.unique(given.rows.column(key)).drop_null().to_pylist() for key in ("user_id", "book_id"))
    return sorted({each.lower() for some in ids for each in some if isinstance(each, str) and is_no_id(each)})


def _explain_problem(
    column: str, texts: Mapping[str, str | None], moment: dt.datetime | None, options: ImportOptions, date: dt.date
) -> str:
    text = texts[column]
    if column == "timestamp":
        return _time_problem(text, moment, options, date)
    if column == "rating":
        return _rating_problem(text, options)
    if column == "event":
        return f"{text!r} cannot be imported. Use one of: {', '.join(EVENTS)}; or say which it is: --event '{text}=Book Viewed'."
    what = "empty" if text is None else f"{text!r} is a placeholder"
    return f"{what}. Every row needs one: fill it in or drop the row."


def _time_problem(text: str | None, moment: dt.datetime | None, options: ImportOptions, date: dt.date) -> str:
    if text is None:
        return "no time. Fill it in or drop the column."
    if moment is None:
        if "timestamp" in options.time_formats:
            return f"{text!r} does not have the format {options.time_formats['timestamp']}. Correct it or the --time-format."
        if _is_number(text):
            return _number_problem(text)
        return (
            f"{text!r} is not a valid time. Give ISO 8601 (2026-01-31T12:00:00Z) or seconds or milliseconds since 1970, or its "
            "format: --time-format '%d.%m.%Y %H:%M'."
        )
    if moment.year < 2000:
        return f"{text!r} is before the year 2000, where events are not valid. Correct it or shift all times: --last-day {date}."
    return f"{text!r} is after the date of the import, {date}. Correct it or give a later --date."


def _number_problem(text: str) -> str:
    options = " or ".join(f"--time-format '{form}'" for form in (*number_formats(text), "seconds"))
    return (
        f"{text!r} is too small or too large for seconds, milliseconds, microseconds or nanoseconds since 1970. Say what it is: "
        f"{options}."
    )


def _rating_problem(text: str | None, options: ImportOptions) -> str:
    if text is None:
        return "empty, but the event is Book Rated. Fill it in."
    if "," in text and not options.decimal_comma and _is_number(text.replace(",", ".")):
        return f"{text!r} has a decimal comma. Give --decimal-comma, or write {text.replace(',', '.')}."
    if options.rating_scale is not None:
        low, high = options.rating_scale
        none = " If it means that there is no rating, give --unrated." if _is_number(text) else ""
        return f"{text!r} is not a number from {low:g} to {high:g}, the --rating-scale. Correct it or drop it.{none}"
    scale = " Or name the scale, such as --rating-scale 0.5:5 or 1:10." if _is_number(text) else ""
    return f"{text!r} is not a number from 1 to 5. Rescale or drop it.{scale}"


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _daily_ranges(days: Days) -> list[ObjectRange]:
    """One range for each object: of one day, with at most OBJECT_RECORDS records, all arriving in the day's last hour."""
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]]).tolist()
    ranges = []
    for start, stop in zip(starts, [*starts[1:], len(days)], strict=True):
        arrival = dt.datetime.combine(days[start].item(), dt.time(23))
        ranges += [
            ObjectRange(arrival, first, min(first + OBJECT_RECORDS, stop))
            for first in range(start, stop, OBJECT_RECORDS)
        ]
    return ranges


def _preview_lines(connection: duckdb.DuckDBPyConnection, own: _OwnFiles, options: ImportOptions) -> Iterator[str]:
    """The detected columns of each file, and its first rows as they will be imported."""
    yield _columns_line(own.interactions)
    yield from _event_lines(connection, own, options)
    files = ((own.books, own.book_records, "books"), (own.users, own.user_records, "users"))
    for table, records, kind in files:
        if table is None:
            yield f"no {kind} file: the {len(records):,} of the interactions, without attributes"
            continue
        yield _columns_line(table)
        for row, record in enumerate(records[:PREVIEW_ROWS]):
            yield f"  {table.place(row)}: {json.dumps(record, ensure_ascii=False)}"


def _columns_line(table: TextTable) -> str:
    named = [f"{ours} from {theirs}" if ours != theirs else ours for ours, theirs in table.columns.items()]
    same = [name for name in table.rows.column_names if name not in table.columns]
    line = f"{table.path}: {table.form}, {len(table.rows):,} rows; {', '.join([*named, *same])}"
    return line + (f"; not used: {', '.join(table.unused)}" if table.unused else "")


def _event_lines(connection: duckdb.DuckDBPyConnection, own: _OwnFiles, options: ImportOptions) -> Iterator[str]:
    query = "select row, user_id, book_id, said_time, given_rating, said_event, moment, stars, name from checked order by row limit ?"
    for row, user, book, time, rating, event, moment, stars, name in connection.execute(
        query, [PREVIEW_ROWS]
    ).fetchall():
        cells = dict(zip(_COLUMNS, (user, book, time, rating, event), strict=True))
        read = f"{name}, user {user}, book {book}"
        if rating is not None:
            read += f", {stars:g} of 5 stars" if stars is not None else ", no rating"
        read += f", at {moment:%Y-%m-%dT%H:%M:%SZ}"
        if own.times is not None and time is not None:
            shifted = f", moved to end on {options.last_day}" if options.last_day else ""
            read += f" (from {own.times.sentence(time)}{shifted})"
        texts = [f"{own.interactions.theirs(column)} {text}" for column, text in cells.items() if text is not None]
        yield f"  {own.interactions.place(row)}: {', '.join(texts)} → {read}"


def _count_unknown(given: TextTable, key: str, records: list[dict[str, Any]]) -> int:
    """The number of ids in the interactions that have no attributes."""
    known = {record[key] for record in records}
    return sum(each not in known for each in pc.unique(given.rows.column(key)).to_pylist())
