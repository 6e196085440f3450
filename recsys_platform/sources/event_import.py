"""Import event files of other deliveries (Firehose, Segment, Matomo) as landing objects.

Belongs here: unwrapping records (from failure documents, batches, arrays, transformation replies, tracking requests) and their arrival
times. Does not: splitting bytes (ingestion/framing.py), validating records (at load), names of objects (hub/).
"""

import base64
import binascii
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pyarrow as pa

from recsys_platform.common.clock import to_naive_utc
from recsys_platform.common.errors import InputError
from recsys_platform.common.json_text import read_json
from recsys_platform.hub.factory import is_s3_url, open_hub
from recsys_platform.hub.landing_writer import ObjectRange, write_landing
from recsys_platform.hub.layout import FIRST_DAY, SOURCES, Source
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.file_formats import foreign_format
from recsys_platform.ingestion.framing import Framing, decompress

OBJECT_RECORDS = 20_000
MAX_DEPTH = 8  # of nested wrappers
_HOUR = re.compile(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/(\d\d)/")
_SEGMENT_DAY = re.compile(r"(?:^|/)segment-logs/[^/]+/(\d{13})/")
_SOURCE = re.compile(r"(?:^|/)source=([a-z]+)/")
_REQUEST = re.compile(
    r"(?:(?:GET|POST) )?(?:https?://[^\s?]*|/[^\s?]*)?\?(?P<query>\S+)(?: HTTP/\S+)?|(?P<bare>[\w%.\[\]-]+=\S*)"
)
_SECRETS = ("token_auth",)
# In a query, encoded or not, and in what looks like JSON: for text that cannot be parsed.
_SECRET_OF_QUERY = re.compile(r"token(?:_|%5f)auth(?:=|%3d)(?:(?!%26)[^&\s\"'#])*(?:&|%26)?", re.IGNORECASE)
_SECRET_OF_JSON = re.compile(r"""\\*["']token_auth\\*["']\s*:\s*(?:"(?:[^"\\]|\\.)*"?|[^,}\]]*)\s*,?""")
_SECONDS_BELOW = 1e11  # Kinesis writes seconds, Firehose milliseconds
# The fields with the time at which a server received a record, and their units per second.
_TIMES: dict[Source, tuple[tuple[str, int], ...]] = {
    "segment": tuple((name, 1) for name in ("receivedAt", "received_at", "timestamp", "sentAt", "originalTimestamp")),
    "pinpoint": (("arrival_timestamp", 1000), ("event_timestamp", 1000)),
    "matomo": (("cdt", 1),),
}


@dataclass(frozen=True)
class Record:
    """One record: its text, its parsed value (None if it cannot be parsed), and its arrival time, if its wrapper has one."""

    text: str
    value: dict[str, Any] | None = None
    arrival: dt.datetime | None = None


@dataclass
class EventImportSummary:
    """The result of an import.

    `known`: objects that existed already. `dropped`: records that a transformation dropped on purpose. `refused`: an error for each
    file that was not imported.
    """

    files: int = 0
    records: int = 0
    objects: int = 0
    known: int = 0
    dropped: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _InputFile:
    name: str
    read: Callable[[], bytes]


def import_events(
    hub: Hub,
    location: str,
    *,
    source: Source | None = None,
    arrived_at: dt.datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EventImportSummary:
    """Import the records of a file, folder or `s3://` prefix as landing objects; the same records give the same objects.

    `source`: by default taken from the path. `arrived_at` (UTC): for records whose arrival is neither in their wrapper, nor in the
    path, nor in the record. A file that is not JSON, is damaged, or has no known source or arrival is refused: nothing of it is
    written. Raises `InputError` if there are no files.
    """
    files, summary = _list_files(location), EventImportSummary()
    for number, file in enumerate(files, 1):
        try:
            _import_file(hub, file, source=source, arrived_at=arrived_at, summary=summary)
        except InputError as error:
            summary.refused.append(str(error))
        if progress is not None:
            progress(number, len(files))
    return summary


def _list_files(location: str) -> list[_InputFile]:
    if is_s3_url(location):
        bucket = open_hub(location)
        found = [
            _InputFile(bucket.where(item.key), _object_reader(bucket, item.key))
            for item in bucket.objects("")
            if item.size_bytes
        ]
    else:
        path = Path(location)
        if not path.exists():
            raise InputError(f"There is no file or folder {location}: check the path.")
        paths = sorted(each for each in path.rglob("*") if _is_data(each, path)) if path.is_dir() else [path]
        found = [_InputFile(each.absolute().as_posix(), each.read_bytes) for each in paths if each.stat().st_size]
    if not found:
        raise InputError(f"{location} has no data: give the file or folder that was delivered.")
    return found


def _object_reader(bucket: Hub, key: str) -> Callable[[], bytes]:
    return lambda: bucket.get(key)


def _is_data(path: Path, root: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    return path.is_file() and not hidden and path.name != "dummy-object.txt"  # Segment writes it to test a bucket


def _import_file(
    hub: Hub, file: _InputFile, *, source: Source | None, arrived_at: dt.datetime | None, summary: EventImportSummary
) -> None:
    kind = source or _source_from_path(file.name)
    unwrapping = _Unwrapper(kind)
    records = list(unwrapping.of_text(_text_of(file), None))
    landed = _arrival_and_text(records, kind, _arrival_from_path(file.name), arrived_at, file.name)
    summary.files += 1
    summary.dropped += unwrapping.dropped
    summary.records += len(landed)
    summary.sources[kind] += len(landed)
    _write_records(hub, sorted(landed, key=lambda each: each[0]), kind, summary)


def _text_of(file: _InputFile) -> str:
    raw, damage = decompress(file.read())
    if found := foreign_format(raw):
        raise InputError(
            f"{file.name} is {found}, not JSON text: unpack or convert it to JSON lines, then import it again."
        )
    if damage:
        raise InputError(f"{file.name} is a {damage}: fetch it again, then import it again.")
    return raw.decode("utf-8", errors="surrogateescape")


def _source_from_path(name: str) -> Source:
    found = _SOURCE.search(name)
    named = found[1] if found else "segment" if "/segment-logs/" in name else ""
    for source in SOURCES:
        if source == named:
            return source
    raise InputError(f"The path {name} does not name a tracker: give --source {' or '.join(SOURCES)}.")


def _arrival_from_path(name: str) -> dt.datetime | None:
    """The hour in Firehose's folder names."""
    hour = _HOUR.search(name)
    try:
        return dt.datetime(*(int(part) for part in hour.groups())) if hour else None  # type: ignore[arg-type]
    except ValueError:
        return None


def _segment_day_from_path(name: str) -> dt.date | None:
    """The day in Segment's folder names; a folder holds the records of all hours of that day."""
    day = _SEGMENT_DAY.search(name)
    try:
        return _from_epoch(int(day[1]) / 1000).date() if day else None
    except OverflowError:
        return None


def _from_epoch(seconds: float) -> dt.datetime:
    return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)


@dataclass
class _Unwrapper:
    """Unwraps records; `dropped` counts those that a transformation dropped on purpose."""

    source: Source
    dropped: int = 0

    def of_text(self, text: str, arrival: dt.datetime | None, depth: int = MAX_DEPTH) -> Iterator[Record]:
        """The records of a text, valid or not; Matomo's without their secret."""
        for record in self._of_parts(text, arrival, depth):
            yield _without_secret(record) if self.source == "matomo" else record

    def _of_parts(self, text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        for part, is_request in _split_requests(text, self.source):
            if is_request:
                yield _record_of_line(part, arrival)
                continue
            for piece, _ in Framing(part).pieces():
                value = _parse_json(piece.text) if piece.text[0] in "{[" else None
                yield from self._of_value(value, piece.text, arrival, depth)

    def _of_value(self, value: Any, text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        if isinstance(value, list) and depth:
            for each in value:
                yield from self._of_value(each, _to_json(each), arrival, depth - 1)
        elif isinstance(value, dict) and depth:
            yield from self._of_object(value, text, arrival, depth)
        else:
            yield Record(text, None, arrival)

    def _of_object(self, value: dict[str, Any], text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        """The records that an object wraps, or the object itself."""
        if isinstance(value.get("rawData"), str):
            at = _parse_arrival(value.get("arrivalTimestamp")) or arrival
            yield from self._of_base64(value["rawData"], text, at, depth)
        elif items := _objects_with_key(value, "records", "data") or _objects_with_key(value, "Records", "kinesis"):
            for each in items:
                yield from self._of_reply(each, arrival, depth)
        elif self.source == "segment" and isinstance(value.get("batch"), list):
            for each in value["batch"]:
                whole = _with_batch_fields(each, value)
                yield from self._of_value(whole, _to_json(whole), arrival, depth - 1)
        elif self.source == "matomo" and isinstance(value.get("requests"), list):
            for each in value["requests"]:
                yield _record_of_line(each, arrival) if isinstance(each, str) else _record_of_request(each, arrival)
        else:
            yield Record(text, value, arrival)

    def _of_reply(self, item: dict[str, Any], arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        """The records in one record of a transformation's request or reply."""
        if item.get("result") == "Dropped":
            self.dropped += 1
            return
        inner = item["kinesis"] if isinstance(item.get("kinesis"), dict) else item
        at = _parse_arrival(inner.get("approximateArrivalTimestamp")) or arrival
        yield from self._of_base64(inner.get("data"), _to_json(item), at, depth)

    def _of_base64(self, data: Any, text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        """The records in Base64, compressed or not; if it is not text, the wrapper is kept, to be rejected at load."""
        inner = _decode_base64(data)
        if inner is None:
            yield Record(text, None, arrival)
        else:
            yield from self.of_text(inner, arrival, depth - 1)


def _decode_base64(data: Any) -> str | None:
    try:
        raw, damage = decompress(base64.b64decode(data, validate=True))
        return None if damage or foreign_format(raw) else raw.decode("utf-8", errors="surrogateescape")
    except (binascii.Error, TypeError, ValueError):
        return None


def _split_requests(text: str, source: Source) -> Iterator[tuple[str, bool]]:
    """Split a text into parts, each with whether it is a tracking request: only Matomo's texts have such lines."""
    if source != "matomo":
        yield text, False
        return
    between: list[str] = []
    for line in text.splitlines(keepends=True):
        if _query_of(line) is None:
            between.append(line)
            continue
        yield "".join(between), False
        between = []
        yield line, True
    yield "".join(between), False


def _parse_json(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return None


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _parse_arrival(value: Any) -> dt.datetime | None:
    """The arrival time that Firehose (milliseconds) or Kinesis (seconds) wrote; None if it is missing or not valid."""
    if not isinstance(value, (int, float)) or not 0 < value < 1 << 42:
        return None
    return _from_epoch(value if value < _SECONDS_BELOW else value / 1000)


def _objects_with_key(value: dict[str, Any], name: str, key: str) -> list[dict[str, Any]]:
    """The objects of a list, if all of them have a key; else an empty list."""
    items = value.get(name)
    is_list = isinstance(items, list) and all(isinstance(each, dict) and key in each for each in items)
    return list(items or ()) if is_list else []


def _with_batch_fields(item: Any, batch: dict[str, Any]) -> Any:
    """A call of a batch, with the fields that the batch shares."""
    if not isinstance(item, dict):
        return item
    shared = {name: batch[name] for name in ("sentAt", "receivedAt", "context") if name in batch}
    own = {name: value for name, value in item.items() if value is not None or name not in shared}
    whole = {**shared, **own}
    if isinstance(shared.get("context"), dict) and isinstance(item.get("context"), dict):
        whole["context"] = {**shared["context"], **item["context"]}
    return whole


def _query_of(line: str) -> str | None:
    """The query of a tracking request: `?idsite=…`, `/matomo.php?…`, `GET … HTTP/1.1` or the bare query; None for other lines."""
    found = _REQUEST.fullmatch(line.strip()) if "idsite=" in line else None
    return (found["query"] or found["bare"]) if found else None


def _record_of_line(line: str, arrival: dt.datetime | None) -> Record:
    query = _query_of(line)
    if query is None:
        return Record(_to_json(line.strip()), None, arrival)
    return _record_of_request(dict(parse_qsl(query.partition("#")[0], keep_blank_values=True)), arrival)


def _record_of_request(values: Any, arrival: dt.datetime | None) -> Record:
    if not isinstance(values, dict):
        return Record(_to_json(values), None, arrival)
    return Record(_to_json(values), values, arrival)


def _without_secret(record: Record) -> Record:
    if record.value is None:
        return replace(record, text=_SECRET_OF_JSON.sub("", _SECRET_OF_QUERY.sub("", record.text)))
    kept = _without_secrets(record.value)
    return record if kept == record.value else replace(record, text=_to_json(kept), value=kept)


def _without_secrets(value: Any) -> Any:
    """A value without secrets, at any depth."""
    if isinstance(value, dict):
        return {name: _without_secrets(each) for name, each in value.items() if name not in _SECRETS}
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return _SECRET_OF_QUERY.sub("", value) if isinstance(value, str) else value


def _arrival_and_text(
    records: Sequence[Record], source: Source, of_path: dt.datetime | None, given: dt.datetime | None, name: str
) -> list[tuple[dt.datetime, str]]:
    """The arrival hour and the text of each record. A Matomo request without a time gets its arrival time."""
    day = _segment_day_from_path(name)
    arrivals = [
        record.arrival or of_path or _arrival_on_day(day, _time_in_record(record.value, source)) or given
        for record in records
    ]
    newest = max((arrival for arrival in arrivals if arrival), default=None)
    if not records:
        return []
    if newest is None:
        raise InputError(
            f"{name} has no arrival time, neither in its folders (YYYY/MM/DD/HH) nor in a record. Give --arrived-at."
        )
    oldest = min(arrival for arrival in arrivals if arrival)
    if oldest.date() < FIRST_DAY:
        raise InputError(
            f"{name} has a record that arrived on {oldest:%Y-%m-%d}, before the first day that is loaded ({FIRST_DAY}): "
            "correct its folder, its arrival timestamps or --arrived-at."
        )
    return [
        (_hour_of(arrival or newest), _text_with_time(record, source, arrival or newest))
        for record, arrival in zip(records, arrivals, strict=True)
    ]


def _arrival_on_day(day: dt.date | None, time: dt.datetime | None) -> dt.datetime | None:
    """The record's own time; in a Segment folder, the start of its day if the record has no time or one of another day.

    It does not depend on when the import runs, so a repeated import writes the same objects.
    """
    if day is None or (time is not None and time.date() == day):
        return time
    return dt.datetime.combine(day, dt.time())


def _hour_of(arrival: dt.datetime) -> dt.datetime:
    return arrival.replace(minute=0, second=0, microsecond=0)


def _text_with_time(record: Record, source: Source, arrival: dt.datetime) -> str:
    if source != "matomo" or record.value is None or record.value.get("cdt"):
        return record.text
    return _to_json({**record.value, "cdt": f"{arrival:%Y-%m-%d %H:%M:%S}"})


def _time_in_record(value: dict[str, Any] | None, source: Source) -> dt.datetime | None:
    """The first valid time in a record, UTC; times before `FIRST_DAY` are ignored."""
    times = (_parse_time((value or {}).get(name), unit) for name, unit in _TIMES[source])
    return next((time for time in times if time and time.date() >= FIRST_DAY), None)


def _parse_time(value: Any, unit: int) -> dt.datetime | None:
    try:
        return _from_epoch(float(value) / unit)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        time = dt.datetime.fromisoformat(str(value))
        return to_naive_utc(time) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None


def _write_records(
    hub: Hub, landed: Sequence[tuple[dt.datetime, str]], source: Source, summary: EventImportSummary
) -> None:
    ranges = list(_hourly_ranges([arrival for arrival, _ in landed]))
    # Bytes that are not UTF-8 are kept as they are: the load rejects them.
    raw = pa.array([text.encode("utf-8", "surrogateescape") for _, text in landed], pa.large_binary())
    texts = raw.view(pa.large_string())
    for done in write_landing(hub, texts, source=source, ranges=ranges, stream="import") if ranges else ():
        summary.objects += 1
        summary.known += not done.is_new


def _hourly_ranges(arrivals: Sequence[dt.datetime]) -> Iterator[ObjectRange]:
    """One range for each object: of one hour, with at most `OBJECT_RECORDS` records; `arrivals` are sorted."""
    first = 0
    for place in range(1, len(arrivals) + 1):
        if place == len(arrivals) or arrivals[place] != arrivals[first] or place - first == OBJECT_RECORDS:
            yield ObjectRange(arrivals[first], first, place)
            first = place
