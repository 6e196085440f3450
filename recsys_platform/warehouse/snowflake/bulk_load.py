"""Bulk load Arrow tables into temporary tables of a session: Parquet files in the hub, then `COPY INTO` from the external stage."""

import io
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.common.errors import HubError, WarehouseError
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.snowflake.ddl import LONG_TEXT
from recsys_platform.warehouse.snowflake.session import Session

_LOG = logging.getLogger(__name__)
FOLDER = "loading"
"""Where tables lie in the hub on their way. A loader that is killed leaves its folder; a lifecycle rule of the bucket may clear it."""

Given: TypeAlias = pa.Table | Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Stage:
    """The external stage by which Snowflake reads the hub: its name there, and the hub itself."""

    name: str
    hub: Hub

    @contextmanager
    def staged(self, session: Session, tables: Mapping[str, Given]) -> Iterator[dict[str, str]]:
        """Temporary tables of the session with those rows, by name; their files are removed at the end."""
        folder = f"{FOLDER}/{uuid.uuid4().hex}"
        keys: list[str] = []
        names: dict[str, str] = {}
        try:
            for name, given in tables.items():
                names[name] = self._stage_table(session, f"{folder}/{name}", given, keys)
            yield names
            for table in names.values():
                session.execute(f"drop table {table}")
        finally:
            self._remove_files(keys)

    def _remove_files(self, keys: Sequence[str]) -> None:
        """Remove files that have been read. What stays behind does no harm: what they brought is committed."""
        try:
            for key in keys:
                self.hub.remove(key)
        except HubError as error:
            _LOG.warning("%s The folder %s/ may be emptied.", error, FOLDER)

    def _stage_table(self, session: Session, folder: str, given: Given, keys: list[str]) -> str:
        """One table, a file for each batch."""
        table = f"ops.staged_{uuid.uuid4().hex}"
        for number, part in enumerate(_as_tables(given)):
            if number == 0:
                session.execute(f"create temporary table {table} ({_column_definitions(part.schema)})")
            keys.append(f"{folder}/{number:05}.parquet")
            self.hub.put(keys[-1], _parquet_bytes(part))
        if not any(key.startswith(f"{folder}/") for key in keys):
            raise WarehouseError(f"{folder.rpartition('/')[2]} has no rows and no columns: there is nothing to load.")
        session.execute(
            f"copy into {table} from @{self.name}/{folder}/ file_format = (type = parquet use_logical_type = true)"
            " match_by_column_name = case_insensitive on_error = abort_statement"
        )
        return table


def _as_tables(given: Given) -> Iterator[pa.Table]:
    if isinstance(given, pa.Table):
        yield given
    else:
        yield from (pa.Table.from_batches([batch]) for batch in given)


def _parquet_bytes(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="snappy", coerce_timestamps="us")
    return out.getvalue()


def _column_definitions(schema: pa.Schema) -> str:
    return ", ".join(f'"{field.name.upper()}" {snowflake_type(field.type)}' for field in schema)


def snowflake_type(kind: pa.DataType) -> str:
    """The column type for an Arrow type; `TypeError` for one that no table of ours has."""
    for is_such, name in _TYPES:
        if is_such(kind):
            return name
    raise TypeError(f"no column type for {kind}")


_TYPES = (
    (pa.types.is_null, LONG_TEXT),
    (pa.types.is_string, LONG_TEXT),
    (pa.types.is_large_string, LONG_TEXT),
    (pa.types.is_dictionary, LONG_TEXT),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_floating, "double"),
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamp_ntz(6)"),
    (pa.types.is_list, "array"),
)
