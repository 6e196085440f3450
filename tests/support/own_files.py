"""Files of one's own, imported into a hub."""

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

from recsys_platform.hub.local import FolderHub
from recsys_platform.sources.file_import import ImportSummary, import_files
from recsys_platform.sources.file_options import ImportOptions

DAY = dt.date(2026, 11, 21)


def replayed(
    folder: Path,
    interactions: str | bytes,
    books: str | bytes = "book_id\nb1\n",
    users: str | None = None,
    **options: Any,
) -> ImportSummary:
    """Import files of these contents with the `ImportOptions`."""
    paths = {}
    for name, content in (("interactions", interactions), ("books", books), ("users", users)):
        if content is not None:
            paths[name] = folder / name
            paths[name].write_bytes(content.encode() if isinstance(content, str) else content)
    return import_files(FolderHub(folder / "hub"), **paths, date=DAY, options=ImportOptions(**options))


def landed(folder: Path, prefix: str = "engagement_events/") -> list[dict[str, Any]]:
    hub = FolderHub(folder / "hub")
    texts = [gzip.decompress(hub.get(each.key)).decode() for each in hub.objects(prefix)]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def who_and_what(folder: Path) -> list[tuple[str, str]]:
    return [(record["userId"], record["properties"]["book_id"]) for record in landed(folder)]
