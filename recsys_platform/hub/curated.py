"""Curated tables as Parquet in the hub: `curated/{table}/dt=YYYY-MM-DD/part-00000.parquet`.

Belongs here: writing, recognising and removing a day of a curated table, and which columns never go there. Does not: which
tables and rows those are (warehouse/curation.py, recommender/data/curated.py).
"""

import datetime as dt
import io
import re

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.hub.layout import curated_day, curated_key, curated_prefix
from recsys_platform.hub.object_store import Hub

# Pseudonyms too: with the salt they lead back to a person.
_PRIVATE = re.compile(r"(^|_)(e_?mail|ip|phone|address|salt)(_|$)|_hash$", re.IGNORECASE)
_FINGERPRINT = b"recsys:fingerprint"


def public_columns(names: list[str]) -> list[str]:
    """The columns that may leave the warehouse: no e-mail, address or phone number, and no hash, of those or of anything."""
    return [name for name in names if not _PRIVATE.search(name)]


def put_day(hub: Hub, name: str, day: dt.date, rows: pa.Table, *, fingerprint: str = "") -> bool:
    """Write the public columns of a day of a table, unless they stand there already; whether anything was written.

    The same rows in the same order give the same bytes. `fingerprint` may stand for the content; it is kept in the file's
    footer, so that it is there together with the rows or not at all.
    """
    public = rows.select(public_columns(rows.column_names)).combine_chunks()
    marked = public.replace_schema_metadata({_FINGERPRINT: fingerprint} if fingerprint else None)
    buffer = io.BytesIO()
    pq.write_table(marked, buffer, compression="zstd")
    key, content = curated_key(name, day), buffer.getvalue()
    if hub.exists(key) and hub.get(key) == content:
        return False
    hub.put(key, content)
    return True


def remove_day(hub: Hub, name: str, day: dt.date) -> None:
    """Remove a day that has no rows any more."""
    for item in hub.objects(curated_prefix(name, day)):
        hub.remove(item.key)


def days_of_table(hub: Hub, name: str) -> list[dt.date]:
    """The days of a curated table, oldest first; what else lies in its folder does not count."""
    keys = (item.key for item in hub.objects(f"curated/{name}/"))
    return sorted({day for key in keys if (day := curated_day(key))})


def fingerprint_of(hub: Hub, name: str, day: dt.date) -> str | None:
    """What stands for the content of a day; None if there is no such file, or not one that we wrote and can read."""
    key = curated_key(name, day)
    try:
        footer = pq.read_metadata(pa.BufferReader(hub.get(key))) if hub.exists(key) else None
    except pa.ArrowInvalid:
        return None
    mark = (footer.metadata or {}).get(_FINGERPRINT) if footer else None
    return mark.decode() if mark else None
