"""Bring in what other deliveries wrote: files of Firehose, Segment and Matomo become landing objects of ours.

Belongs here: what stands around records (failure documents, batches, arrays, transformation replies, tracking requests) and when
they arrived. Does not: cutting bytes (framing.py), whether a record is accepted (judging, at load), names of objects (hub/).
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

from recsys_platform.common.errors import InputError
from recsys_platform.common.json_text import read_json
from recsys_platform.hub.factory import hub_at, is_s3_address
from recsys_platform.hub.landing_writer import Cut, write_landing
from recsys_platform.hub.layout import FIRST_DAY, SOURCES, Source
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.file_formats import foreign_format
from recsys_platform.ingestion.framing import Framing, decompress

OBJECT_RECORDS = 20_000
DEEPEST = 8  # wrappers within wrappers
_HOUR = re.compile(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/(\d\d)/")
_SEGMENT_DAY = re.compile(r"(?:^|/)segment-logs/[^/]+/(\d{13})/")
_SOURCE = re.compile(r"(?:^|/)source=([a-z]+)/")
_REQUEST = re.compile(
    r"(?:(?:GET|POST) )?(?:https?://[^\s?]*|/[^\s?]*)?\?(?P<query>\S+)(?: HTTP/\S+)?|(?P<bare>[\w%.\[\]-]+=\S*)"
)
_SECRETS = ("token_auth",)
# In a query, encoded or not, and in what looks like JSON: for text that cannot be taken apart.
_SECRET_OF_QUERY = re.compile(r"token(?:_|%5f)auth(?:=|%3d)(?:(?!%26)[^&\s\"'#])*(?:&|%26)?", re.IGNORECASE)
_SECRET_OF_JSON = re.compile(r"""\\*["']token_auth\\*["']\s*:\s*(?:"(?:[^"\\]|\\.)*"?|[^,}\]]*)\s*,?""")
_SECONDS_BELOW = 1e11  # Kinesis tells seconds, Firehose milliseconds
# Where records say when a server took them up, and how many of it are a second.
_TIMES: dict[Source, tuple[tuple[str, int], ...]] = {
    "segment": tuple((name, 1) for name in ("receivedAt", "received_at", "timestamp", "sentAt", "originalTimestamp")),
    "pinpoint": (("arrival_timestamp", 1000), ("event_timestamp", 1000)),
    "matomo": (("cdt", 1),),
}


@dataclass(frozen=True)
class Record:
    """One record as text and as it was read (None if it cannot be), and when it arrived, if what stood around it says so."""

    text: str
    value: dict[str, Any] | None = None
    arrival: dt.datetime | None = None


@dataclass
class ImportSummary:
    """What an import found and wrote.

    `known` objects were there already; `dropped` records a transformation had dropped on purpose; `refused` says of files that were
    not taken what is wrong with them.
    """

    files: int = 0
    records: int = 0
    objects: int = 0
    known: int = 0
    dropped: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    name: str
    read: Callable[[], bytes]


def import_events(
    hub: Hub,
    place: str,
    *,
    source: Source | None = None,
    arrived_at: dt.datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportSummary:
    """Write the records of a file, folder or `s3://` prefix as landing objects; the same records give the same objects.

    `source` is taken from the path where it is not given. `arrived_at` (UTC) is for records of which neither what stands around them
    nor the path nor they themselves say it. Of a file that is no JSON
    text, is damaged, or does not say where it belongs, nothing is written. Raises `InputError` if there are no files.
    """
    files, summary = _files(place), ImportSummary()
    for number, file in enumerate(files, 1):
        try:
            _import(hub, file, source=source, arrived_at=arrived_at, summary=summary)
        except InputError as error:
            summary.refused.append(str(error))
        if progress is not None:
            progress(number, len(files))
    return summary


def _files(place: str) -> list[_File]:
    if is_s3_address(place):
        bucket = hub_at(place)
        found = [
            _File(bucket.where(item.key), _reader(bucket, item.key)) for item in bucket.objects("") if item.size_bytes
        ]
    else:
        path = Path(place)
        if not path.exists():
            raise InputError(f"There is no file or folder {place}: name one that is there.")
        paths = sorted(each for each in path.rglob("*") if _is_data(each, path)) if path.is_dir() else [path]
        found = [_File(each.absolute().as_posix(), each.read_bytes) for each in paths if each.stat().st_size]
    if not found:
        raise InputError(f"{place} holds no data: name the file or folder that was delivered.")
    return found


def _reader(bucket: Hub, key: str) -> Callable[[], bytes]:
    return lambda: bucket.get(key)


def _is_data(path: Path, root: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    return path.is_file() and not hidden and path.name != "dummy-object.txt"  # Segment tests a bucket by writing that


def _import(
    hub: Hub, file: _File, *, source: Source | None, arrived_at: dt.datetime | None, summary: ImportSummary
) -> None:
    kind = source or _source_of(file.name)
    unwrapping = _Unwrapping(kind)
    records = list(unwrapping.of_text(_text_of(file), None))
    landed = _landed(records, kind, _arrival_of_path(file.name), arrived_at, file.name)
    summary.files += 1
    summary.dropped += unwrapping.dropped
    summary.records += len(landed)
    summary.sources[kind] += len(landed)
    _write(hub, sorted(landed, key=lambda each: each[0]), kind, summary)


def _text_of(file: _File) -> str:
    raw, damage = decompress(file.read())
    if found := foreign_format(raw):
        raise InputError(
            f"{file.name} is {found}, not JSON text: unpack or convert it to JSON lines, then import it again."
        )
    if damage:
        raise InputError(f"{file.name} is a {damage}: fetch it again, then import it again.")
    return raw.decode("utf-8", errors="surrogateescape")


def _source_of(name: str) -> Source:
    found = _SOURCE.search(name)
    named = found[1] if found else "segment" if "/segment-logs/" in name else ""
    for source in SOURCES:
        if source == named:
            return source
    raise InputError(f"{name} does not say which tracker sent it: give --source {', --source '.join(SOURCES)}.")


def _arrival_of_path(name: str) -> dt.datetime | None:
    """The hour of Firehose's folders."""
    hour = _HOUR.search(name)
    try:
        return dt.datetime(*(int(part) for part in hour.groups())) if hour else None  # type: ignore[arg-type]
    except ValueError:
        return None


def _segment_day(name: str) -> dt.date | None:
    """The day of Segment's folders, which hold the records of all hours of that day."""
    day = _SEGMENT_DAY.search(name)
    try:
        return _moment(int(day[1]) / 1000).date() if day else None
    except OverflowError:
        return None


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)


@dataclass
class _Unwrapping:
    """Takes records out of what stands around them; `dropped` counts those that a transformation dropped on purpose."""

    source: Source
    dropped: int = 0

    def of_text(self, text: str, arrival: dt.datetime | None, depth: int = DEEPEST) -> Iterator[Record]:
        """The records of a text, readable or not; of Matomo's, none holds its secret."""
        for record in self._of_parts(text, arrival, depth):
            yield _without_secret(record) if self.source == "matomo" else record

    def _of_parts(self, text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        for part, is_request in _parts(text, self.source):
            if is_request:
                yield _request(part, arrival)
                continue
            for piece, _ in Framing(part).pieces():
                value = _value(piece.text) if piece.text[0] in "{[" else None
                yield from self._of_value(value, piece.text, arrival, depth)

    def _of_value(self, value: Any, text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        if isinstance(value, list) and depth:
            for each in value:
                yield from self._of_value(each, _text(each), arrival, depth - 1)
        elif isinstance(value, dict) and depth:
            yield from self._of_object(value, text, arrival, depth)
        else:
            yield Record(text, None, arrival)

    def _of_object(self, value: dict[str, Any], text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        """The records that an object wraps, or itself."""
        if isinstance(value.get("rawData"), str):
            at = _taken_at(value.get("arrivalTimestamp")) or arrival
            yield from self._of_base64(value["rawData"], text, at, depth)
        elif items := _all_with(value, "records", "data") or _all_with(value, "Records", "kinesis"):
            for each in items:
                yield from self._of_reply(each, arrival, depth)
        elif self.source == "segment" and isinstance(value.get("batch"), list):
            for each in value["batch"]:
                whole = _with_context(each, value)
                yield from self._of_value(whole, _text(whole), arrival, depth - 1)
        elif self.source == "matomo" and isinstance(value.get("requests"), list):
            for each in value["requests"]:
                yield _request(each, arrival) if isinstance(each, str) else _of_request(each, arrival)
        else:
            yield Record(text, value, arrival)

    def _of_reply(self, item: dict[str, Any], arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        """The records in one record of a transformation's reply, or of what was sent to it."""
        if item.get("result") == "Dropped":
            self.dropped += 1
            return
        inner = item["kinesis"] if isinstance(item.get("kinesis"), dict) else item
        at = _taken_at(inner.get("approximateArrivalTimestamp")) or arrival
        yield from self._of_base64(inner.get("data"), _text(item), at, depth)

    def _of_base64(self, data: Any, text: str, arrival: dt.datetime | None, depth: int) -> Iterator[Record]:
        """The records in Base64, packed or not; where it holds no text, what it stands in is kept, to be rejected at load."""
        inner = _decoded(data)
        if inner is None:
            yield Record(text, None, arrival)
        else:
            yield from self.of_text(inner, arrival, depth - 1)


def _decoded(data: Any) -> str | None:
    try:
        raw, damage = decompress(base64.b64decode(data, validate=True))
        return None if damage or foreign_format(raw) else raw.decode("utf-8", errors="surrogateescape")
    except (binascii.Error, TypeError, ValueError):
        return None


def _parts(text: str, source: Source) -> Iterator[tuple[str, bool]]:
    """The text in parts: of Matomo, lines that are tracking requests, and what stands between them."""
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


def _value(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _taken_at(told: Any) -> dt.datetime | None:
    """When Firehose (milliseconds) or Kinesis (seconds) took a record up; None if that is not said."""
    if not isinstance(told, (int, float)) or not 0 < told < 1 << 42:
        return None
    return _moment(told if told < _SECONDS_BELOW else told / 1000)


def _all_with(value: dict[str, Any], name: str, key: str) -> list[dict[str, Any]]:
    """The objects of a list if all of them have a key; else none."""
    items = value.get(name)
    is_list = isinstance(items, list) and all(isinstance(each, dict) and key in each for each in items)
    return list(items or ()) if is_list else []


def _with_context(item: Any, batch: dict[str, Any]) -> Any:
    """A call of a batch with what is said once for all of them."""
    if not isinstance(item, dict):
        return item
    shared = {name: batch[name] for name in ("sentAt", "receivedAt", "context") if name in batch}
    own = {name: value for name, value in item.items() if value is not None or name not in shared}
    whole = {**shared, **own}
    if isinstance(shared.get("context"), dict) and isinstance(item.get("context"), dict):
        whole["context"] = {**shared["context"], **item["context"]}
    return whole


def _query_of(line: str) -> str | None:
    """The query of a line that is a tracking request: `?idsite=…`, `/matomo.php?…`, `GET … HTTP/1.1` or the bare query."""
    found = _REQUEST.fullmatch(line.strip()) if "idsite=" in line else None
    return (found["query"] or found["bare"]) if found else None


def _request(line: str, arrival: dt.datetime | None) -> Record:
    query = _query_of(line)
    if query is None:
        return Record(_text(line.strip()), None, arrival)
    return _of_request(dict(parse_qsl(query.partition("#")[0], keep_blank_values=True)), arrival)


def _of_request(values: Any, arrival: dt.datetime | None) -> Record:
    if not isinstance(values, dict):
        return Record(_text(values), None, arrival)
    return Record(_text(values), values, arrival)


def _without_secret(record: Record) -> Record:
    if record.value is None:
        return replace(record, text=_SECRET_OF_JSON.sub("", _SECRET_OF_QUERY.sub("", record.text)))
    kept = _kept(record.value)
    return record if kept == record.value else replace(record, text=_text(kept), value=kept)


def _kept(value: Any) -> Any:
    """A value without the secret, however deep."""
    if isinstance(value, dict):
        return {name: _kept(each) for name, each in value.items() if name not in _SECRETS}
    if isinstance(value, list):
        return [_kept(each) for each in value]
    return _SECRET_OF_QUERY.sub("", value) if isinstance(value, str) else value


def _landed(
    records: Sequence[Record], source: Source, of_path: dt.datetime | None, given: dt.datetime | None, name: str
) -> list[tuple[dt.datetime, str]]:
    """The hour in which each record landed, and its text; a request of Matomo without a time happened when it arrived."""
    day = _segment_day(name)
    arrivals = [
        record.arrival or of_path or _arrival_on(day, _said_time(record.value, source)) or given for record in records
    ]
    newest = max((arrival for arrival in arrivals if arrival), default=None)
    if not records:
        return []
    if newest is None:
        raise InputError(
            f"{name} does not say when it arrived: neither its folders (YYYY/MM/DD/HH) nor a record does. Give --arrived-at."
        )
    oldest = min(arrival for arrival in arrivals if arrival)
    if oldest.date() < FIRST_DAY:
        raise InputError(
            f"{name} says that a record arrived on {oldest:%Y-%m-%d}, before the first day that is loaded ({FIRST_DAY}): "
            "correct its folder, its arrival timestamps or --arrived-at."
        )
    return [
        (_hour_of(arrival or newest), _timed(record, source, arrival or newest))
        for record, arrival in zip(records, arrivals, strict=True)
    ]


def _arrival_on(day: dt.date | None, said: dt.datetime | None) -> dt.datetime | None:
    """The time that a record says; of Segment's day its beginning where that is on another day or not said.

    It does not depend on when the import runs, so that another import finds the same objects.
    """
    if day is None or (said is not None and said.date() == day):
        return said
    return dt.datetime.combine(day, dt.time())


def _hour_of(arrival: dt.datetime) -> dt.datetime:
    return arrival.replace(minute=0, second=0, microsecond=0)


def _timed(record: Record, source: Source, arrival: dt.datetime) -> str:
    if source != "matomo" or record.value is None or record.value.get("cdt"):
        return record.text
    return _text({**record.value, "cdt": f"{arrival:%Y-%m-%d %H:%M:%S}"})


def _said_time(value: dict[str, Any] | None, source: Source) -> dt.datetime | None:
    """The first time that a record tells, UTC; a clock of before the first day tells none."""
    times = (_time((value or {}).get(name), unit) for name, unit in _TIMES[source])
    return next((time for time in times if time and time.date() >= FIRST_DAY), None)


def _time(told: Any, unit: int) -> dt.datetime | None:
    try:
        return _moment(float(told) / unit)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        time = dt.datetime.fromisoformat(str(told))
        return time.astimezone(dt.UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None


def _write(hub: Hub, landed: Sequence[tuple[dt.datetime, str]], source: Source, summary: ImportSummary) -> None:
    cuts = list(_cuts([arrival for arrival, _ in landed]))
    # Bytes that are not UTF-8 stay what they are: the load rejects them.
    raw = pa.array([text.encode("utf-8", "surrogateescape") for _, text in landed], pa.large_binary())
    texts = raw.view(pa.large_string())
    for done in write_landing(hub, texts, source=source, cuts=cuts, stream="import") if cuts else ():
        summary.objects += 1
        summary.known += not done.is_new


def _cuts(arrivals: Sequence[dt.datetime]) -> Iterator[Cut]:
    """Objects of one hour each, at most `OBJECT_RECORDS` records long; the hours are in order."""
    first = 0
    for place in range(1, len(arrivals) + 1):
        if place == len(arrivals) or arrivals[place] != arrivals[first] or place - first == OBJECT_RECORDS:
            yield Cut(arrivals[first], first, place)
            first = place
