"""Curated tables as Parquet in the hub: `curated/{table}/dt=YYYY-MM-DD/part-00000.parquet`, and more parts of a large day.

Belongs here: writing, fingerprinting and removing a day of a curated table, and which columns are never exported. Does not: which
tables and rows are exported (exports/daily_export.py, recommender/data/training_data.py).
"""

import datetime as dt
import io
import re

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.hub.layout import curated_day, curated_key, curated_prefix, is_curated_key
from recsys_platform.hub.object_store import Hub

# Hashes too: with the salt they identify a person.
_PRIVATE = re.compile(r"(^|_)(e_?mail|ip|phone|address|salt)(_|$)|_hash$", re.IGNORECASE)
_OURS, _FINGERPRINT = b"recsys:", b"recsys:fingerprint"


def public_columns(names: list[str]) -> list[str]:
    """The columns that may leave the warehouse: no e-mail address, IP address or phone number, and no hash."""
    return [name for name in names if not _PRIVATE.search(name)]


def put_day(hub: Hub, name: str, day: dt.date, rows: pa.Table, *, fingerprint: str = "", part: int = 0) -> bool:
    """Write the public columns of one day of a table, or of a part of it; returns whether anything was written.

    Nothing is written if the file already has the same content: the same rows in the same order give the same bytes.
    `fingerprint` identifies the content. It is stored in the file's footer, so it is written atomically with the rows; so is what the
    schema's metadata says under names that begin with `recsys:`.
    """
    public = rows.select(public_columns(rows.column_names)).combine_chunks()
    footer = {name: value for name, value in (rows.schema.metadata or {}).items() if name.startswith(_OURS)}
    footer |= {_FINGERPRINT: fingerprint.encode()} if fingerprint else {}
    table = public.replace_schema_metadata(footer or None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    key, content = curated_key(name, day, part), buffer.getvalue()
    if hub.exists(key) and hub.get(key) == content:
        return False
    hub.put(key, content)
    return True


def remove_day(hub: Hub, name: str, day: dt.date) -> None:
    """Remove the files of a day that no longer has rows."""
    for item in hub.objects(curated_prefix(name, day)):
        hub.remove(item.key)


def remove_parts(hub: Hub, name: str, day: dt.date, since: int) -> None:
    """Remove the parts of a day from one on: those that a day with fewer rows no longer has."""
    kept = {curated_key(name, day, part) for part in range(since)}
    for item in hub.objects(curated_prefix(name, day)):
        if is_curated_key(item.key) and item.key not in kept:
            hub.remove(item.key)


def days_of_table(hub: Hub, name: str) -> list[dt.date]:
    """The days of a curated table, oldest first; other files in its folder are ignored."""
    keys = (item.key for item in hub.objects(f"curated/{name}/"))
    return sorted({day for key in keys if (day := curated_day(key))})


def fingerprint_of(hub: Hub, name: str, day: dt.date) -> str | None:
    """The fingerprint of a day, from its first part; None if there is no file, or it is unreadable or was not written by us."""
    key = curated_key(name, day)
    try:
        footer = pq.read_metadata(pa.BufferReader(hub.get(key))) if hub.exists(key) else None
    except pa.ArrowInvalid:
        return None
    fingerprint = (footer.metadata or {}).get(_FINGERPRINT) if footer else None
    return fingerprint.decode() if fingerprint else None
