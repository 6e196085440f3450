"""Stages and COPY of the patched fakesnow, through the real connector: one test for each patch, a tiny world each."""

import gzip
import io
import json

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import ProgrammingError

from tests.support.snowflake.queries import ask
from tests.support.snowflake.shim import NOON

PARQUET = "file_format = (type = parquet use_logical_type = true) match_by_column_name = case_insensitive"


def put_table(bucket: str, key: str, table: pa.Table) -> None:
    out = io.BytesIO()
    pq.write_table(table, out)
    put(bucket, key, out.getvalue())


def put(bucket: str, key: str, content: bytes) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=content)


@pytest.fixture
def stage(session: SnowflakeConnection, bucket: str) -> str:
    ask(session, f"create stage raw.hub url = 's3://{bucket}/world/'")
    return "raw.hub"


def test_parquet_is_matched_by_name_whatever_the_order_and_what_it_lacks_is_null(session, bucket, stage):
    table = pa.table(
        {
            "day": pa.array([NOON.date(), None]),
            "score": pa.array([0.5, None], pa.float64()),
            "seen": pa.array([True, None]),
            "amount": pa.array([2**62, None], pa.int64()),
            "moment": pa.array([NOON, None], pa.timestamp("us")),
            "Name": pa.array(["it's", None]),
            "tags": pa.array([["a", "b"], None], pa.list_(pa.string())),
        }
    )
    put_table(bucket, "world/loading/1/part.parquet", table)
    ask(
        session,
        """create table ops.t (name varchar, moment timestamp_ntz(6), amount bigint, seen boolean, score double, day date,
        tags array, missing varchar default 'never')""",
    )
    answer = ask(session, f"copy into ops.t from @raw.hub/loading/1/ {PARQUET}")
    assert answer[0][:4] == (f"s3://{bucket}/world/loading/1/part.parquet", "LOADED", 2, 2)
    first, second = ask(session, "select * from ops.t order by name")
    assert first[:6] == ("it's", NOON, 2**62, True, 0.5, NOON.date())
    assert json.loads(first[6]) == ["a", "b"]
    assert first[7] is None
    assert second == (None,) * 8


def test_columns_are_found_whatever_the_case_only_if_asked_to(session, bucket, stage):
    put_table(bucket, "world/a.parquet", pa.table({"name": ["x"]}))
    ask(session, "create table ops.t (name varchar)")
    sensitive = PARQUET.replace("insensitive", "sensitive")
    ask(session, f"copy into ops.t from @raw.hub/ {sensitive}")
    ask(session, f"copy into ops.t from @raw.hub/ {PARQUET} force = true")
    assert sorted(ask(session, "select name from ops.t"), key=str) == [("x",), (None,)]


def test_text_in_parquet_is_a_text_in_a_variant_until_it_is_parsed(session, bucket, stage):
    put_table(bucket, "world/a.parquet", pa.table({"record": ['{"a": 1}']}))
    ask(session, "create table ops.t (record variant)")
    ask(session, f"copy into ops.t from @raw.hub/ {PARQUET}")
    assert ask(session, "select record:a, parse_json(record::varchar):a::int from ops.t") == [(None, 1)]


@pytest.mark.parametrize("unit", ["ns", "us"])
def test_moments_that_arrow_writes_want_the_logical_type(session, bucket, stage, unit):
    put_table(bucket, "world/a.parquet", pa.table({"moment": pa.array([NOON], pa.timestamp(unit))}))
    ask(session, "create table ops.t (moment timestamp_ntz)")
    with pytest.raises(ProgrammingError, match="say use_logical_type"):
        ask(session, f"copy into ops.t from @raw.hub/ {PARQUET.replace('use_logical_type = true', '')}")
    ask(session, f"copy into ops.t from @raw.hub/ {PARQUET}")
    assert ask(session, "select moment from ops.t") == [(NOON,)]


def test_a_moment_with_a_zone_arrives_in_utc(session, bucket, stage):
    put_table(bucket, "world/a.parquet", pa.table({"moment": pa.array([NOON], pa.timestamp("us", "Europe/Paris"))}))
    ask(session, "create table ops.t (moment timestamp_ntz)")
    ask(session, f"copy into ops.t from @raw.hub/ {PARQUET}")
    assert ask(session, "select moment from ops.t") == [(NOON,)]


def test_metadata_of_a_file_can_be_loaded_beside_its_columns(session, bucket, stage):
    put_table(bucket, "world/dt=1/a.parquet", pa.table({"a": [7, 8]}))
    ask(session, "create table ops.t (a int, object_key varchar, n int)")
    ask(
        session,
        f"copy into ops.t from @raw.hub/dt=1/ {PARQUET}"
        " include_metadata = (object_key = metadata$filename, n = metadata$file_row_number)",
    )
    assert ask(session, "select * from ops.t order by n") == [
        (7, "world/dt=1/a.parquet", 1),
        (8, "world/dt=1/a.parquet", 2),
    ]


def test_parquet_without_names_to_match_is_one_variant_a_row(session, bucket, stage):
    put_table(bucket, "world/a.parquet", pa.table({"a": [7], "b": ["x"]}))
    ask(session, "create table ops.t (record variant)")
    ask(session, "copy into ops.t from @raw.hub/ file_format = (type = parquet)")
    assert ask(session, "select record:a::int, record:b::varchar from ops.t") == [(7, "x")]


def test_json_is_one_variant_a_record_packed_or_not(session, bucket, stage):
    put(bucket, "world/j/a.json.gz", gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    put(bucket, "world/j/b.json", b'{"a": 3} {"a":\n4}')
    ask(session, "create table ops.t (record variant)")
    ask(session, "copy into ops.t from @raw.hub/j/ file_format = (type = json)")
    assert ask(session, "select record:a::int as a from ops.t order by a") == [(1,), (2,), (3,), (4,)]


def test_json_is_taken_apart_by_a_select_that_knows_the_file(session, bucket, stage):
    put(bucket, "world/source=x/a.gz", gzip.compress(b'{"a": {"b": "it"}}\n{"a": 2}\n'))
    ask(session, "create table ops.t (n int, b varchar, object_key varchar, record variant)")
    ask(
        session,
        """copy into ops.t (b, object_key, record, n)
        from (select t.$1:a.b::varchar, metadata$filename, $1, metadata$file_row_number from @raw.hub/source=x/ t)
        file_format = (type = json)""",
    )
    assert ask(session, "select b, object_key, record:a::varchar from ops.t order by n") == [
        ("it", "world/source=x/a.gz", '{"b":"it"}'),
        (None, "world/source=x/a.gz", "2"),
    ]


def test_an_array_is_one_record_unless_it_is_stripped(session, bucket, stage):
    put(bucket, "world/a.json", b"[1, 2]")
    ask(session, "create table ops.t (record variant)")
    ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json)")
    ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json strip_outer_array = true) force = true")
    assert ask(session, "select coalesce(array_size(as_array(record)), 0) as n from ops.t order by n") == [
        (0,),
        (0,),
        (2,),
    ]


def test_records_want_a_table_of_one_column_for_them(session, bucket, stage):
    put(bucket, "world/a.json", b"{}")
    ask(session, "create table ops.t (a int, b int)")
    with pytest.raises(ProgrammingError, match="one and only one column"):
        ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json)")


def test_files_and_pattern_choose_what_is_loaded(session, bucket, stage):
    for name in "abc":
        put(bucket, f"world/{name}.json", f'"{name}"'.encode())
    ask(session, "create table ops.t (record variant)")
    ask(session, "copy into ops.t from @raw.hub/ files = ('a.json') file_format = (type = json)")
    ask(session, "copy into ops.t from @raw.hub/ pattern = '.*/[ab][.]json' file_format = (type = json)")
    assert ask(session, "select record::varchar as r from ops.t order by r") == [("a",), ("b",)]
    with pytest.raises(ProgrammingError, match=r"nothing.json' was not found"):
        ask(session, "copy into ops.t from @raw.hub/ files = ('nothing.json') file_format = (type = json)")


def test_a_file_is_loaded_once_until_the_table_is_truncated_or_made_anew(session, bucket, stage):
    put(bucket, "world/a.json", b"1")
    load = "copy into ops.t from @raw.hub/ file_format = (type = json)"
    ask(session, "create table ops.t (record variant)")
    assert ask(session, load)[0][1] == "LOADED"
    assert ask(session, load) == [("Copy executed with 0 files processed.",)]
    for anew in ("truncate table ops.t", "create or replace table ops.t (record variant)"):
        ask(session, anew)
        assert ask(session, load)[0][1] == "LOADED"


def test_a_copy_that_fails_in_its_second_file_loads_nothing(session, bucket, stage):
    put(bucket, "world/a.json", b"1")
    put(bucket, "world/b.json", b'{"broken": ')
    ask(session, "create table ops.t (record variant)")
    with pytest.raises(ProgrammingError, match=r"world/b.json"):
        ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json)")
    assert ask(session, "select * from ops.t") == []


def test_a_copy_inside_a_transaction_is_rolled_back_with_it(session, bucket, stage):
    put(bucket, "world/a.json", b"1")
    ask(session, "create temporary table ops.t (record variant)")
    ask(session, "begin")
    ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json)")
    ask(session, "rollback")
    ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json)")
    assert ask(session, "select record::int from ops.t") == [(1,)]


@pytest.mark.parametrize("option", ["on_error = continue", "purge = true", "validation_mode = return_errors"])
def test_an_option_that_would_be_passed_over_is_refused(session, bucket, stage, option):
    ask(session, "create table ops.t (record variant)")
    with pytest.raises(ProgrammingError, match="does not know"):
        ask(session, f"copy into ops.t from @raw.hub/ file_format = (type = json) {option}")


def test_a_stage_that_was_dropped_is_gone(session, stage):
    ask(session, "drop stage raw.hub")
    ask(session, "create table ops.t (record variant)")
    with pytest.raises(ProgrammingError, match=r"Stage .* does not exist"):
        ask(session, "copy into ops.t from @raw.hub/ file_format = (type = json)")
