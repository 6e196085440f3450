"""Deliver records to the hub as Firehose does, some of them late, duplicated or broken.

Belongs here: arrival times, flaws, grouping into objects. Does not: events (behaviour.py), record formats (trackers.py), names and
compression of objects (hub/landing_writer.py).
"""

import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.clock import to_naive_utc
from recsys_platform.hub.landing_writer import ObjectRange, WrittenObject, write_landing
from recsys_platform.hub.layout import SOURCES, Source
from recsys_platform.hub.object_store import Hub
from recsys_platform.simulation.behaviour import EVENT, Action
from recsys_platform.simulation.trackers import records_of
from recsys_platform.simulation.vocabulary import PLATFORMS
from recsys_platform.simulation.world import DAY_MS, Ints, Table, World

FLUSH_MS = 20 * 60 * 1000  # an object holds the records of so long a time
LATE, TWICE, FLAWED = 0.01, 0.005, 0.001  # shares of all events
ON_PINPOINT = 0.6  # the share of mobile readers whose app used Pinpoint before the migration
THREADS = 2
CHUNK = 25_000  # records serialized at once
HOUR_MS = 3_600_000


class Flaw(IntEnum):
    """The flaws of a record: the first five are rejected at load, the others break the contract."""

    NONE, TRUNCATED, NOT_JSON, NO_ID, NO_TIME, NO_USER, NO_BOOK, BAD_RATING = range(8)


REJECTED = (Flaw.TRUNCATED, Flaw.NOT_JSON, Flaw.NO_ID, Flaw.NO_TIME, Flaw.NO_USER)
UNFRAMEABLE = (Flaw.TRUNCATED, Flaw.NOT_JSON)  # without a delimiter they would damage their neighbors too

RECORD = np.dtype(
    [*EVENT.descr, ("received", "i8"), ("arrival", "i8"), ("source", "i1"), ("flaw", "i1"), ("copy", "?")]
)

# The keys to remove so that a record has no id, time, user or book, and the key of the rating, by source.
_KEYS: dict[Source, dict[Flaw, tuple[str, ...]]] = {
    "segment": {
        Flaw.NO_ID: ("messageId",),
        Flaw.NO_TIME: ("timestamp", "originalTimestamp", "receivedAt"),
        Flaw.NO_USER: ("userId", "anonymousId"),
        Flaw.NO_BOOK: ("properties.book_id",),
        Flaw.BAD_RATING: ("properties.rating",),
    },
    "pinpoint": {
        Flaw.NO_ID: ("event_type",),
        Flaw.NO_TIME: ("event_timestamp",),
        Flaw.NO_USER: ("client.client_id", "endpoint.User"),
        Flaw.NO_BOOK: ("attributes.book_id",),
        Flaw.BAD_RATING: ("metrics.rating",),
    },
    "matomo": {
        Flaw.NO_ID: ("idsite",),
        Flaw.NO_TIME: ("cdt",),
        Flaw.NO_USER: ("uid", "_id"),
        Flaw.NO_BOOK: ("e_n",),
        Flaw.BAD_RATING: ("e_v",),
    },
}


@dataclass(frozen=True)
class Delivered:
    """The numbers of a day's delivery."""

    objects: int
    records: int
    copies: int
    late: int
    rejected: int
    invalid: int
    size_bytes: int


def sent_records(world: World, events: Table, *, day: int) -> Table:
    """The records (dtype RECORD) that the trackers send for a day's events, with arrival times, duplicates and flaws."""
    rng = world.spec.rng("delivery", day)
    records = np.zeros(len(events), dtype=RECORD)
    for name in EVENT.names or ():
        records[name] = events[name]
    records["source"] = _assign_sources(world, events)
    delay = np.where(
        rng.random(len(events)) < LATE, _draw_late_delays(rng, len(events)), 250 + rng.exponential(1_500, len(events))
    )
    records["received"] = records["arrival"] = events["at"] + delay.astype(np.int64)
    records["flaw"] = _draw_flaws(rng, events["action"])
    records = records[(records["action"] != Action.PAGE) | (records["source"] == SOURCES.index("segment"))]
    return np.concatenate([records, _duplicate_records(rng, records)])


def deliver(hub: Hub, world: World, records: Table, *, connection: duckdb.DuckDBPyConnection) -> Delivered:
    """Write the records of one day of arrival; memory is bounded by `THREADS` chunks of text."""
    records = records[np.lexsort((records["seq"], records["arrival"], records["source"]))]

    def write(chunk: Table) -> list[WrittenObject]:
        with connection.cursor() as cursor:  # DuckDB reads a small Arrow table with one thread, and releases the GIL
            return _deliver_chunk(hub, world, chunk, connection=cursor)

    with ThreadPoolExecutor(THREADS) as pool:
        landed = [each for chunk in pool.map(write, _split_chunks(records)) for each in chunk]
    flaws = _effective_flaws(world, records)
    return Delivered(
        objects=len(landed),
        records=len(records),
        copies=int(records["copy"].sum()),
        late=int((records["received"] - records["at"] >= HOUR_MS).sum()),
        rejected=int(np.isin(flaws, REJECTED).sum()),
        invalid=int((flaws > max(REJECTED)).sum()),
        size_bytes=sum(each.size_bytes for each in landed),
    )


def _assign_sources(world: World, events: Table) -> Ints:
    """The tracker of each event: an index of SOURCES."""
    before = events["at"] < world.spec.start_ms + world.spec.migration_day * DAY_MS
    web = events["platform"] == PLATFORMS.index("web")
    old_app = (events["reader"] * np.int64(2_654_435_761) >> 8) % 1_000 < ON_PINPOINT * 1_000
    old = np.where(web, SOURCES.index("matomo"), np.where(old_app, SOURCES.index("pinpoint"), SOURCES.index("segment")))
    return np.where(before, old, SOURCES.index("segment"))


def _draw_late_delays(rng: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Delays of an hour to two days, in milliseconds; short ones are more likely."""
    return np.asarray(HOUR_MS * 48 ** rng.random(count))


def _draw_flaws(rng: np.random.Generator, action: Ints) -> Ints:
    """A flaw for a few events, each of a kind that its action can have."""
    of_book = action <= Action.RATED
    rated = np.isin(action, (Action.RATED, Action.APP_RATED))
    kind = rng.integers(1, len(Flaw) - 1, len(action))
    kind = np.where((kind == Flaw.NO_BOOK) & ~of_book, Flaw.NO_ID, kind)
    kind = np.where(rated & (rng.random(len(action)) < 0.5), Flaw.BAD_RATING, kind)
    return np.where(rng.random(len(action)) < FLAWED, kind, Flaw.NONE)


def _duplicate_records(rng: np.random.Generator, records: Table) -> Table:
    """The records that are delivered again, unchanged, in a later object."""
    copies: Table = records[(rng.random(len(records)) < TWICE) & (records["flaw"] == Flaw.NONE)]
    copies["arrival"] += rng.integers(FLUSH_MS, 18 * FLUSH_MS, len(copies))
    copies["copy"] = True
    return copies


def _flush_windows(records: Table) -> Ints:
    return np.asarray(records["arrival"] // FLUSH_MS)


def _is_delimited(world: World, source: Ints, window: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether an object has newlines between its records: about two in three do."""
    mixed = (window.astype(np.int64) * 31 + source + world.spec.seed % 1_000) * 2_654_435_761
    return np.asarray((mixed >> 11) % 3 != 0)


def _effective_flaws(world: World, records: Table) -> Ints:
    """The flaws as written: a record that would damage its neighbors becomes one without a user."""
    breaks = np.isin(records["flaw"], UNFRAMEABLE) & ~_is_delimited(world, records["source"], _flush_windows(records))
    return np.where(breaks, Flaw.NO_USER, records["flaw"])


def _split_chunks(records: Table) -> Iterator[Table]:
    """Runs of whole objects of one source, of about CHUNK records unless one object has more."""
    if not len(records):
        return
    ends = np.r_[_object_starts(records)[1:], len(records)]
    start = 0
    for index, end in enumerate(ends):
        last = index == len(ends) - 1
        if last or ends[index + 1] - start > CHUNK or records["source"][end] != records["source"][start]:
            yield records[start:end]
            start = end


def _object_starts(records: Table) -> Ints:
    """The index of the first record of each object, given records ordered by source and arrival."""
    group = _flush_windows(records) * len(SOURCES) + records["source"]
    return np.flatnonzero(np.r_[True, group[1:] != group[:-1]])


def _deliver_chunk(
    hub: Hub, world: World, records: Table, *, connection: duckdb.DuckDBPyConnection
) -> list[WrittenObject]:
    source = SOURCES[int(records["source"][0])]
    texts = _break_records(
        records_of(connection, world, records, source=source), _effective_flaws(world, records), source=source
    )
    return write_landing(hub, texts, source=source, ranges=_object_ranges(world, records))


def _object_ranges(world: World, records: Table) -> list[ObjectRange]:
    starts = _object_starts(records)
    delimited = _is_delimited(world, records["source"][starts], _flush_windows(records[starts]))
    stops = np.r_[starts[1:], len(records)]
    times = [to_naive_utc(dt.datetime.fromtimestamp(ms / 1_000, dt.UTC)) for ms in records["arrival"][starts].tolist()]
    return [ObjectRange(*each) for each in zip(times, starts.tolist(), stops.tolist(), delimited.tolist(), strict=True)]


def _break_records(texts: pa.Array, flaws: Ints, *, source: Source) -> pa.Array:
    """The texts, with the flawed ones broken one by one: there are few."""
    places = np.flatnonzero(flaws)
    if not len(places):
        return texts
    broken = [_break_record(texts[place].as_py(), Flaw(int(flaws[place])), source=source) for place in places]
    return pc.replace_with_mask(texts, pa.array(flaws != Flaw.NONE), pa.array(broken, pa.large_string()))


def _break_record(text: str, flaw: Flaw, *, source: Source) -> str:
    if flaw == Flaw.TRUNCATED:
        return text[: len(text) * 2 // 3]
    if flaw == Flaw.NOT_JSON:
        return f"upstream timed out after {len(text)} bytes"
    record = json.loads(text)
    for path in _KEYS[source][flaw]:
        *outer, key = path.split(".")
        inner = record[outer[0]] if outer else record
        if flaw == Flaw.BAD_RATING:
            inner[key] = "9" if isinstance(inner[key], str) else 9
        else:
            inner.pop(key, None)
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)
