"""Curated Parquet from Snowflake: the same days and parts as from DuckDB."""

import io
from itertools import chain
from typing import Any

import pyarrow.parquet as pq
import pytest
from snowflake.connector import connect

from recsys_platform.exports import daily_export
from recsys_platform.exports.daily_export import DAILY_TABLES, write_changed_days
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse


def test_a_day_larger_than_memory_is_written_in_parts_that_hold_each_event_once(
    hub: Hub, warehouse: SnowflakeWarehouse, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_export, "ROWS_AT_ONCE", 10)
    with connect(**account) as connection:
        connection.cursor().execute("create schema if not exists marts")
        connection.cursor().execute(
            "create table marts.fct_events as select 'e' || (100 + row_number() over (order by seq4())) as event_id,"
            " '2026-11-20'::date as occurred_on, '2026-11-20 10:00'::timestamp_ntz as occurred_at"
            " from table(generator(rowcount => 35))"
        )
    assert len(write_changed_days(hub, warehouse, DAILY_TABLES[0]).written) == 1
    keys = sorted(item.key for item in hub.objects("curated/fct_events/"))
    parts = [pq.read_table(io.BytesIO(hub.get(key)))["event_id"].to_pylist() for key in keys]
    assert len(parts) == 4
    assert sorted(chain.from_iterable(parts)) == [f"e{number}" for number in range(101, 136)]
    assert write_changed_days(hub, warehouse, DAILY_TABLES[0]).written == ()
