"""Load the landing objects of a hub with dlt: the peer that `ingest.py` measures. Runs in an environment of its own.

    python benchmarks/load_with_dlt.py HUB DATABASE [--style records|lines]

Belongs here: dlt, set up as well as we can. Does not: anything of ours, which this environment does not hold.

`records` is what dlt is for: its filesystem source finds and opens the files, every record becomes a row of a typed table, one
table a tracker. Set up for speed: nested values stay JSON (no child tables), text is not searched for dates, Parquet between the
steps, two workers, writers with large buffers and files small enough for both workers, orjson for the parsing. `lines` leaves
parsing to whoever reads the table: one Arrow column of JSON text, the least that dlt can be asked to do.
dlt has no reader for objects with nothing between records, so both styles are handed a splitter.
"""

import argparse
import gzip
import importlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__WORKERS": "2",
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "2",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "25000",
    "DATA_WRITER__FILE_MAX_ITEMS": "100000",
}
TRACKERS = ("segment", "pinpoint", "matomo")


def records_of(data: bytes) -> list[dict[str, Any]]:
    """The records of one object: by line where there are lines, else one after another; what is not JSON is dropped."""
    import orjson

    lines, found = data.splitlines(), []
    for line in lines:
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            found.extend(_one_after_another(line.decode("utf-8", "replace")))
    return [record for record in found if isinstance(record, dict)]


def _one_after_another(text: str) -> Iterator[Any]:
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        try:
            record, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError:
            return
        yield record


def sources(hub: Path, style: str) -> list[Any]:
    """One dlt resource a tracker that has landed anything."""
    import dlt
    import orjson
    import pyarrow as pa
    from dlt.sources.filesystem import filesystem

    def as_records(files: Any) -> Iterator[Any]:
        for file in files:
            yield records_of(gzip.decompress(Path(file.local_file_path).read_bytes()))

    def as_lines(files: Any) -> Iterator[Any]:
        for file in files:
            found = records_of(gzip.decompress(Path(file.local_file_path).read_bytes()))
            yield pa.table({"record": pa.array([orjson.dumps(record).decode() for record in found])})

    made = []
    for tracker in TRACKERS:
        folder = hub / "engagement_events" / f"source={tracker}"
        if folder.is_dir():
            files = filesystem(bucket_url=folder.as_uri(), file_glob="**/*.gz", files_per_page=100)
            read = as_records if style == "records" else as_lines
            made.append(files.with_name(f"{tracker}_files") | dlt.transformer(read, name=tracker, max_table_nesting=0))
    return made


def load(hub: Path, database: Path, folder: Path, style: str) -> int:
    """Extract, normalise and load everything; the number of rows in the database."""
    import dlt
    import duckdb

    @dlt.source(max_table_nesting=0)
    def engagement_events() -> Any:
        return sources(hub, style)

    source = engagement_events()
    source.schema.remove_type_detection("iso_timestamp")
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(folder), destination=dlt.destinations.duckdb(str(database)), dataset_name="raw"
    )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
    with duckdb.connect(str(database), read_only=True) as con:
        names = [name for (name, *_) in con.execute("select table_name from duckdb_tables()").fetchall()]
        return sum(
            con.execute(f"select count(*) from raw.{name}").fetchall()[0][0] for name in names if name in TRACKERS
        )


def main() -> None:
    """Load, and print rows and seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hub", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("--style", choices=("records", "lines"), default="records")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.database.parent) as folder:
        os.environ.update(SETTINGS, DLT_DATA_DIR=folder)
        for module in (
            "dlt",
            "duckdb",
            "pyarrow",
            "orjson",
            "dlt.sources.filesystem",
            "dlt.destinations.impl.duckdb.factory",
        ):
            importlib.import_module(module)  # imports count for nobody
        started = time.perf_counter()
        rows = load(given.hub, given.database, Path(folder), given.style)
        print(json.dumps({"seconds": time.perf_counter() - started, "rows": rows}))


if __name__ == "__main__":
    main()
