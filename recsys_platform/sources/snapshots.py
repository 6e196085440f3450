"""Read the records of attribute snapshots back from the hub.

Belongs here: the records of a day. Does not: which days there are (hub/snapshots.py), fetching (attributes.py).
"""

import datetime as dt
import gzip
import zlib
from collections.abc import Iterator
from typing import Any

from recsys_platform.common.errors import HubError
from recsys_platform.common.json_text import read_json
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_parts
from recsys_platform.ingestion.framing import split_records


def snapshot_texts(hub: Hub, kind: Attributes, day: dt.date) -> Iterator[str]:
    """The records of a snapshot as JSON text, split as the loader splits them; raises `HubError` if a part is damaged."""
    for item in snapshot_parts(hub, kind, day):
        pieces = split_records(hub.get(item.key))
        broken = next((piece.reason for piece in pieces if piece.reason), None)
        if broken:
            raise HubError(f"The snapshot part {hub.where(item.key)} cannot be read whole: {broken}. Deliver it again.")
        yield from (piece.text for piece in pieces)


def read_records(packed: bytes) -> Iterator[Any]:
    """The records of gzipped JSON lines; raises `ValueError` for anything else."""
    try:
        lines = gzip.decompress(packed).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not gzip: {error}") from error
    return (read_json(line) for line in lines if line.strip())
