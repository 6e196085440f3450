"""Load the landing objects of a hub into a DuckDB file: by our loader, or by DuckDB alone. What `ingest.py` measures.

    python benchmarks/load_with_duckdb.py HUB DATABASE HOW [--layouts FILE]

Belongs here: the two sides of `ratio_vs_duckdb`, in one process each. Does not: the comparison.

`ours` lists the hub and loads it as the platform does. The others are plain `create table … as select … from read_json…`, one table a
tracker, with the memory limit and threads of the loader. `objects` keeps each record as JSON, `typed` makes a column of every
top-level key. Neither keeps where a record came from or what could not be read, and neither can find out by itself which
objects have a record a line and which have nothing between records: `--layouts` tells them, for nothing.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import duckdb

from recsys_platform.hub.layout import LANDING, SOURCES, Source
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

Layouts = Mapping[str, Mapping[str, Sequence[str]]]

_TEXT: dict[Source, str] = {
    "segment": "type event name messageId userId anonymousId",
    "pinpoint": "event_type event_version awsAccountId",
    "matomo": "idsite rec url action_name _id rand cdt ua lang cip uid search e_c e_a e_n e_v"
    " dimension1 dimension2 dimension3 dimension4",
}
_TIME: dict[Source, str] = {"segment": "originalTimestamp sentAt receivedAt timestamp", "pinpoint": "", "matomo": ""}
_WHOLE: dict[Source, str] = {"segment": "", "pinpoint": "event_timestamp arrival_timestamp", "matomo": ""}
_NESTED: dict[Source, str] = {
    "segment": "context properties traits",
    "pinpoint": "application client device session attributes metrics endpoint",
    "matomo": "",
}


def columns(source: Source) -> dict[str, str]:
    """The top-level keys of a tracker's records and the types that hold them."""
    kinds = {"varchar": _TEXT, "timestamp": _TIME, "bigint": _WHOLE, "json": _NESTED}
    return {name: kind for kind, names in kinds.items() for name in names[source].split()}


def ours(hub: Hub, database: Path) -> int:
    """The platform's raw load; the number of records in the ledger."""
    warehouse = DuckDBWarehouse(database)
    warehouse.prepare()
    return load_events(hub, warehouse, hub.objects(f"{LANDING}/")).records


def alone(hub: Hub, database: Path, how: str, layouts: Layouts) -> int:
    """DuckDB reading and parsing the same files into a table a tracker; the number of rows."""
    limit = next(field.default for field in fields(DuckDBWarehouse) if field.name == "memory_limit")
    rows = 0
    with duckdb.connect(str(database), config={"memory_limit": limit}) as con:
        for source in SOURCES:
            found = {layout: [str(hub.path(key)) for key in keys] for layout, keys in layouts[source].items() if keys}
            if found:
                parts = " union all ".join(_select(how, source, layout) for layout in found)
                con.execute(f"create table {source} as {parts}", list(found.values()))
                rows += con.execute(f"select count(*) from {source}").fetchall()[0][0]
    return rows


def _select(how: str, source: Source, layout: str) -> str:
    """One file list read: lines may be broken, records that touch each other may not."""
    options = "format = 'newline_delimited', ignore_errors = true" if layout == "lines" else "format = 'unstructured'"
    if how == "objects":
        return f"select json from read_json_objects(?, {options})"
    return f"select * from read_json(?, columns = {columns(source)}, {options})"


def main() -> None:
    """Load, and print rows and seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hub", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("how", choices=("ours", "objects", "typed"))
    parser.add_argument("--layouts", type=Path)
    given = parser.parse_args()
    hub, layouts = FolderHub(given.hub), json.loads(given.layouts.read_text()) if given.layouts else {}
    started = time.perf_counter()
    rows = ours(hub, given.database) if given.how == "ours" else alone(hub, given.database, given.how, layouts)
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": rows}))


if __name__ == "__main__":
    main()
