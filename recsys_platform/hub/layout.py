"""The names of objects in the hub (a contract: see docs/contracts.md)."""

import datetime as dt
import re
from typing import Literal, get_args

Source = Literal["segment", "pinpoint", "matomo"]
SOURCES: tuple[Source, ...] = get_args(Source)
Attributes = Literal["user_attributes", "book_attributes"]
ID_FIELDS: dict[Attributes, str] = {"user_attributes": "user_id", "book_attributes": "book_id"}

FIRST_DAY = dt.date(2000, 1, 1)
"""The first day of arrival that anything can land on."""

LANDING = "engagement_events"
_LANDING_KEY = re.compile(rf"{LANDING}/source=(?P<source>[a-z]+)/(?P<hour>\d{{4}}/\d\d/\d\d/\d\d)/[^/]+")
_SNAPSHOT_KEY = re.compile(r"(?P<kind>[a-z_]+)/(?P<folder>dt=[^/]+)/[^/_.][^/]*\.(gz|json|jsonl)")
_CURATED_KEY = re.compile(r"curated/[^/]+/(?P<folder>dt=[^/]+)/[^/_.][^/]*\.parquet")
_DAY_FOLDER = re.compile(r"dt=\d{4}-\d\d-\d\d")


def landing_prefix(source: Source, day: dt.date) -> str:
    """The prefix of all objects of one source that arrived on one day (UTC)."""
    return f"{LANDING}/source={source}/{day:%Y/%m/%d}/"


def landing_key(source: Source, arrival: dt.datetime, name: str) -> str:
    """The key of a landing object; `arrival` is UTC, its hour is the folder."""
    return f"{LANDING}/source={source}/{arrival:%Y/%m/%d/%H}/{name}"


def attributes_prefix(kind: Attributes, day: dt.date) -> str:
    """The prefix of one complete attribute snapshot."""
    return f"{kind}/dt={day.isoformat()}/"


def attributes_key(kind: Attributes, day: dt.date, part: int = 0) -> str:
    """The key of one part of an attribute snapshot."""
    return f"{attributes_prefix(kind, day)}part-{part:05d}.json.gz"


def curated_prefix(table: str, day: dt.date) -> str:
    """The prefix of one day of a curated table."""
    return f"curated/{table}/dt={day.isoformat()}/"


def curated_key(table: str, day: dt.date, part: int = 0) -> str:
    """The key of one Parquet file of a curated table."""
    return f"{curated_prefix(table, day)}part-{part:05d}.parquet"


def source_of(key: str) -> str:
    """The tracker that a landing object came from."""
    return _parts(key)["source"]


def arrival_of(key: str) -> dt.datetime:
    """The hour (UTC, naive) in which a landing object arrived, read from its path."""
    return dt.datetime.strptime(_parts(key)["hour"], "%Y/%m/%d/%H")


def is_landing_key(key: str) -> bool:
    """Whether a key follows the landing layout with a known source and a real hour."""
    match = _LANDING_KEY.fullmatch(key)
    if match is None or match["source"] not in SOURCES:
        return False
    try:
        arrival_of(key)
    except ValueError:
        return False
    return True


def is_snapshot_key(kind: Attributes, key: str) -> bool:
    """Whether a key is a part of an attribute snapshot: a file of JSON lines, gzipped or not, right in the folder of a real day."""
    match = _SNAPSHOT_KEY.fullmatch(key)
    return match is not None and match["kind"] == kind and day_of_folder(match["folder"]) is not None


def curated_day(key: str) -> dt.date | None:
    """The day of a Parquet file of a curated table; None if the key is not one right in the folder of a real day."""
    match = _CURATED_KEY.fullmatch(key)
    return day_of_folder(match["folder"]) if match else None


def is_curated_key(key: str) -> bool:
    """Whether a key is a Parquet file of a day of a curated table."""
    return curated_day(key) is not None


def day_of_folder(folder: str) -> dt.date | None:
    """The day of a folder `dt=YYYY-MM-DD`, None if it is named otherwise."""
    try:
        return dt.date.fromisoformat(folder[3:]) if _DAY_FOLDER.fullmatch(folder) else None
    except ValueError:
        return None


def is_folder_marker(key: str, size_bytes: int) -> bool:
    """Whether an object only stands for a folder, as consoles and Hadoop write them: no data, and a folder's name."""
    return size_bytes == 0 and key.endswith(("/", "_$folder$"))


def _parts(key: str) -> dict[str, str]:
    match = _LANDING_KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key} is not a landing key")
    return match.groupdict()
