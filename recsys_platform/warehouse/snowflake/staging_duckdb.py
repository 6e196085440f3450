"""An empty DuckDB in memory in which a chunk is loaded first, as on a laptop, before its rows are carried to Snowflake.

So there is one judge of records for both engines, and what is sent is already accepted or rejected.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from recsys_platform.warehouse import ddl

# JSON travels as text: Parquet has no such type.
_COLUMNS = {
    "raw.engagement_events": "source, object_key, record_index, landed_at, record::varchar as record",
    "raw.rejected_records": "source, object_key, record_index, landed_at, payload, reason",
    "raw.user_attributes": "snapshot_date, user_id, object_key, record::varchar as record",
    "raw.book_attributes": "snapshot_date, book_id, object_key, record::varchar as record",
    "ops.load_ledger": "object_key, etag, size_bytes, records, accepted, rejected",
}


@contextmanager
def scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the tables that Python writes, all empty."""
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for schema in ("raw", "ops"):
            con.execute(f"create schema {schema}")
        for table in _COLUMNS:
            con.execute(f"create table {table} ({ddl.TABLES[table]})")
        yield con


def rows_of(con: duckdb.DuckDBPyConnection, table: str) -> pa.Table:
    """What stands in one of the tables, without when it was loaded: that is for the warehouse to say."""
    return con.sql(f"select {_COLUMNS[table]} from {table}").to_arrow_table()
