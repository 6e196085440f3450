"""The keys of objects in the hub (a contract: see docs/contracts.md)."""

import datetime as dt
import re
from typing import Literal, get_args

Source = Literal["segment", "pinpoint", "matomo"]
SOURCES: tuple[Source, ...] = get_args(Source)
Attributes = Literal["user_attributes", "book_attributes"]
ID_FIELDS: dict[Attributes, str] = {"user_attributes": "user_id", "book_attributes": "book_id"}

FIRST_DAY = dt.date(2000, 1, 1)
"""The first arrival day that is accepted."""

LANDING = "engagement_events"
_LANDING_KEY = re.compile(rf"{LANDING}/source=(?P<source>[a-z]+)/(?P<hour>\d{{4}}/\d\d/\d\d/\d\d)/[^/]+")
_SNAPSHOT_KEY = re.compile(r"(?P<kind>[a-z_]+)/(?P<folder>dt=[^/]+)/[^/_.][^/]*\.(gz|json|jsonl)")
_CURATED_KEY = re.compile(r"curated/[^/]+/(?P<folder>dt=[^/]+)/[^/_.][^/]*\.parquet")
_DT_FOLDER = re.compile(r"dt=\d{4}-\d\d-\d\d")


def landing_prefix(source: Source, day: dt.date) -> str:
    """The prefix of all objects of one source that arrived on one day (UTC)."""
    return f"{LANDING}/source={source}/{day:%Y/%m/%d}/"


def landing_key(source: Source, arrival: dt.datetime, name: str) -> str:
    """The key of a landing object; `arrival` is UTC, its hour is the folder."""
    return f"{LANDING}/source={source}/{arrival:%Y/%m/%d/%H}/{name}"


def attributes_prefix(kind: Attributes, day: dt.date) -> str:
    """The prefix of one complete attribute snapshot."""
    return f"{kind}/{dt_folder(day)}/"


def attributes_key(kind: Attributes, day: dt.date, part: int = 0) -> str:
    """The key of one part of an attribute snapshot."""
    return f"{attributes_prefix(kind, day)}part-{part:05d}.json.gz"


def curated_prefix(table: str, day: dt.date) -> str:
    """The prefix of one day of a curated table."""
    return f"curated/{table}/{dt_folder(day)}/"


def curated_key(table: str, day: dt.date, part: int = 0) -> str:
    """The key of one Parquet file of a curated table."""
    return f"{curated_prefix(table, day)}part-{part:05d}.parquet"


def source_of(key: str) -> str:
    """The tracker that a landing object came from."""
    return _parse_landing_key(key)["source"]


def arrival_of(key: str) -> dt.datetime:
    """The hour (UTC, without time zone) in which a landing object arrived, from its key."""
    return dt.datetime.strptime(_parse_landing_key(key)["hour"], "%Y/%m/%d/%H")


def is_landing_key(key: str) -> bool:
    """Whether a key follows the landing layout, with a known source and a valid hour."""
    match = _LANDING_KEY.fullmatch(key)
    if match is None or match["source"] not in SOURCES:
        return False
    try:
        arrival_of(key)
    except ValueError:
        return False
    return True


def is_snapshot_key(kind: Attributes, key: str) -> bool:
    """Whether a key is a part of an attribute snapshot: JSON lines, gzipped or not, directly in a `dt=` folder of a valid day."""
    match = _SNAPSHOT_KEY.fullmatch(key)
    return match is not None and match["kind"] == kind and parse_dt_folder(match["folder"]) is not None


def curated_day(key: str) -> dt.date | None:
    """The day of a curated table's Parquet file; None if the key is not directly in a `dt=` folder of a valid day."""
    match = _CURATED_KEY.fullmatch(key)
    return parse_dt_folder(match["folder"]) if match else None


def is_curated_key(key: str) -> bool:
    """Whether a key is a Parquet file of a day of a curated table."""
    return curated_day(key) is not None


def dt_folder(day: dt.date) -> str:
    """The name of a day's folder: `dt=YYYY-MM-DD`."""
    return f"dt={day.isoformat()}"


def parse_dt_folder(folder: str) -> dt.date | None:
    """The day of a folder named `dt=YYYY-MM-DD`; None if it is named otherwise."""
    try:
        return dt.date.fromisoformat(folder[3:]) if _DT_FOLDER.fullmatch(folder) else None
    except ValueError:
        return None


def dt_folder_day(key: str) -> dt.date:
    """The day of the `dt=` folder that directly holds an object. Raises `ValueError` if the folder is named otherwise."""
    day = parse_dt_folder(key.split("/")[-2]) if "/" in key else None
    if day is None:
        raise ValueError(f"{key} is not in a folder dt=YYYY-MM-DD")
    return day


def is_folder_marker(key: str, size_bytes: int) -> bool:
    """Whether an object is a folder marker, as consoles and Hadoop write them: empty, with a folder's name."""
    return size_bytes == 0 and key.endswith(("/", "_$folder$"))


def _parse_landing_key(key: str) -> dict[str, str]:
    match = _LANDING_KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key} is not a landing key")
    return match.groupdict()
