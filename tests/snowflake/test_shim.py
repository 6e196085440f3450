"""What the patches make of fakesnow, through the real connector: one test for each, a tiny world each."""

import datetime as dt
import gzip
import io
import json
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from snowflake.connector import SnowflakeConnection, connect
from snowflake.connector.errors import IntegrityError, ProgrammingError

from tests.support.snowflake.queries import ask

NOON = dt.datetime(2026, 11, 20, 12, 0, 0, 123456)
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


def test_a_moment_that_is_null_comes_back_as_none_and_one_before_1970_as_itself(session):
    moments = "select column1::timestamp_ntz from values (null), ('1969-12-31 23:59:59.999999'), ('2026-11-20')"
    assert {m for (m,) in ask(session, moments)} == {
        None,
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        dt.datetime(2026, 11, 20),
    }


def test_a_temporary_table_is_named_with_or_without_its_schema_and_seen_by_its_session_alone(session, account):
    ask(session, "create temporary table ops.x as select 1 as a")
    ask(session, "insert into ops.x select a + 1 from ops.x")
    ask(session, "use schema ops")
    assert ask(session, "select x.a from x order by x.a") == [(1,), (2,)]
    assert [row[0] for row in ask(session, "describe table ops.x")] == ["A"]
    with connect(**account) as other, pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        ask(other, "select * from ops.x")


def test_two_sessions_have_temporary_tables_of_the_same_name(session, account):
    with connect(**account) as other:
        for number, one in enumerate((session, other)):
            ask(one, f"create temporary table ops.x as select {number} as a")
        assert ask(session, "select a from ops.x") == [(0,)]
        assert ask(other, "select a from ops.x") == [(1,)]


def test_a_temporary_table_hides_a_permanent_one_until_it_is_dropped(session):
    ask(session, "create table ops.x as select 'lasting' as a")
    ask(session, "create temporary table ops.x as select 'passing' as a")
    assert ask(session, "select a from ops.x") == [("passing",)]
    ask(session, "drop table ops.x")
    assert ask(session, "select a from ops.x") == [("lasting",)]


def test_a_temporary_table_goes_with_its_session(session, account):
    with connect(**account) as other:
        ask(other, "create temporary table ops.x (a int)")
    assert ask(session, "select table_name from information_schema.tables where table_schema = 'OPS'") == []


def test_what_a_transaction_did_is_seen_by_others_when_it_is_committed(session, account):
    ask(session, "create table ops.x (a int)")
    with connect(**account) as other:
        ask(session, "begin")
        ask(session, "insert into ops.x values (1)")
        ask(session, "update ops.x set a = 2")
        assert ask(other, "select * from ops.x") == []
        ask(session, "commit")
        assert ask(other, "select * from ops.x") == [(2,)]


def test_a_transaction_that_is_rolled_back_did_nothing(session):
    ask(session, "create table ops.x as select 1 as a")
    ask(session, "begin")
    ask(session, "delete from ops.x")
    ask(session, "insert into ops.x values (2), (3)")
    ask(session, "truncate table ops.x")
    ask(session, "rollback")
    assert ask(session, "select * from ops.x") == [(1,)]


def test_without_autocommit_a_transaction_begins_with_the_first_change(account):
    with connect(**account, autocommit=False) as session, connect(**account) as other:
        ask(session, "create table ops.x (a int)")
        ask(session, "insert into ops.x values (1)")
        assert ask(other, "select * from ops.x") == []
        session.rollback()
        ask(session, "insert into ops.x values (2)")
        session.commit()
        assert ask(other, "select * from ops.x") == [(2,)]


@pytest.mark.parametrize(
    "ddl", ["create table ops.y (a int)", "create temporary table ops.y (a int)", "drop table ops.z"]
)
def test_a_statement_that_defines_something_commits_the_open_transaction(session, ddl):
    ask(session, "create table ops.x (a int)")
    ask(session, "create table ops.z (a int)")
    ask(session, "begin")
    ask(session, "insert into ops.x values (1)")
    ask(session, ddl)
    ask(session, "rollback")
    assert ask(session, "select * from ops.x") == [(1,)]


def test_two_writers_of_the_same_row_conflict_and_the_second_hears_of_it_at_once(session, account):
    ask(session, "create table ops.x as select 1 as a")
    with connect(**account) as other:
        ask(session, "begin")
        ask(session, "update ops.x set a = 2")
        with pytest.raises(ProgrammingError) as refused:
            ask(other, "update ops.x set a = 3")
        assert (refused.value.errno, refused.value.sqlstate) == (625, "57014")
        ask(session, "commit")
        assert ask(other, "select * from ops.x") == [(2,)]


def test_after_a_failed_statement_that_lost_the_transaction_nothing_passes_until_it_is_rolled_back(session):
    ask(session, "create table ops.x (a int not null)")
    ask(session, "begin")
    ask(session, "insert into ops.x values (1)")
    with pytest.raises(IntegrityError):
        ask(session, "insert into ops.x values (null)")
    with pytest.raises(ProgrammingError, match="roll back first"):
        ask(session, "commit")
    ask(session, "rollback")
    assert ask(session, "select * from ops.x") == []


def test_a_closed_session_loses_its_open_transaction(session, account):
    ask(session, "create table ops.x (a int)")
    other = connect(**account)
    ask(other, "begin")
    ask(other, "insert into ops.x values (1)")
    other.close()
    ask(session, "insert into ops.x values (2)")
    assert ask(session, "select * from ops.x") == [(2,)]


def test_what_the_server_cannot_do_is_an_error_at_once(session):
    with pytest.raises(ProgrammingError):
        ask(session, "select no_such_function(1)")


def test_a_missing_table_is_told_in_the_words_of_snowflake(session):
    with pytest.raises(ProgrammingError, match=r"Object '.*NOTHING.*' does not exist or not authorized") as refused:
        ask(session, "select * from ops.nothing")
    assert refused.value.errno == 2003


def test_a_key_pair_logs_in_and_values_are_bound_by_the_server(account, tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    parameters = account | {"authenticator": "SNOWFLAKE_JWT", "private_key": der, "paramstyle": "qmark"}
    with connect(**parameters) as session:
        assert ask(session, "select ? || 'b', ? + 1, ?::timestamp_ntz", "a", 1, NOON) == [("ab", 2, NOON)]


def test_an_answer_comes_as_an_arrow_table_too(session):
    table = (
        session.cursor()
        .execute(
            "select 1 as n, 1.50::decimal(18, 4) as d, array_construct('a') as l, null::timestamp_ntz as t, sum(2) as s"
        )
        .fetch_arrow_all(force_return_table=True)
    )
    row = table.to_pylist()[0]
    assert (int(row["N"]), row["D"], json.loads(row["L"]), row["T"], int(row["S"])) == (
        1,
        Decimal("1.5"),
        ["a"],
        None,
        2,
    )


def test_lists_and_small_numbers_of_duckdb_are_announced(session):
    assert ask(session, "select 1::tinyint, 1.5::float, split('a,b', ',')") == [(1, 1.5, '["a","b"]')]


def test_whole_numbers_are_described_alike_whatever_their_size(session):
    ask(session, "create view ops.v as select 1 as a, count(*) as b, sum(1) as c from values (1)")
    assert {kind for _, kind, *_ in ask(session, "describe view ops.v")} == {"NUMBER(38,0)"}


def test_a_merge_changes_deletes_and_inserts_inside_a_transaction(session):
    ask(
        session,
        "create table ops.x as select column1 as id, column2 as v from values (1, 'old'), (2, 'old'), (3, 'old')",
    )
    ask(session, "begin")
    counts = ask(
        session,
        """merge into ops.x as t using (select column1 as id, column2 as v from values (1, 'new'), (2, null), (4, 'new')) as s
        on t.id = s.id
        when matched and s.v is null then delete
        when matched then update set t.v = s.v
        when not matched then insert (id, v) values (id, v)""",
    )
    assert counts == [(1, 1, 1)]
    assert ask(session, "select * from ops.x order by id") == [(1, "new"), (3, "old"), (4, "new")]
    ask(session, "rollback")
    assert ask(session, "select count(*) from ops.x where v = 'old'") == [(3,)]


def test_a_row_that_is_merged_from_two_rows_is_refused(session):
    ask(session, "create table ops.x as select 1 as id, 'old' as v")
    with pytest.raises(ProgrammingError, match="Duplicate row") as refused:
        ask(
            session,
            """merge into ops.x as t using (select column1 as id, column2 as v from values (1, 'a'), (1, 'b')) as s
            on t.id = s.id when matched then update set v = s.v""",
        )
    assert refused.value.errno == 100090


def test_a_query_tag_is_that_of_the_login_until_the_session_has_another(account):
    with connect(**account, session_parameters={"QUERY_TAG": "from the login"}) as session:
        assert ask(session, "show parameters like 'query_tag'")[0][1] == "from the login"


def test_a_query_tag_is_remembered_by_its_session(session):
    ask(session, "alter session set query_tag = 'tagged' /* said by dbt */")
    assert ask(session, "/* dbt */ show parameters like 'query_tag' in session")[0][:2] == ("QUERY_TAG", "tagged")
    ask(session, "alter session unset query_tag")
    assert ask(session, "show parameters like 'query_tag' in session")[0][1] == ""


def test_comments_are_kept_on_columns_of_tables_and_views(session):
    ask(session, "create table ops.t (a int, b int)")
    ask(session, 'alter table ops.t alter "A" comment $$it\'s, a$$, "B" comment $$$$')
    ask(session, 'create view ops.v ("A" comment $$it\'s, a$$, "B") as select 1, 2')
    for table in ("table ops.t", "view ops.v"):
        assert [(row[0], row[9] or "") for row in ask(session, f"describe {table}")] == [("A", "it's, a"), ("B", "")]


def test_a_schema_is_made_whoever_may_grant_in_it(session):
    ask(session, "create schema managed with managed access data_retention_time_in_days = 1 comment = 'kept a day'")
    ask(session, "create table managed.t (a int)")


def test_roles_grants_and_warehouses_are_accepted_without_effect(session):
    for statement in (
        "create role r",
        "create warehouse if not exists w",
        "grant usage on schema ops to role r",
        "create user if not exists u type = service",
        "create share if not exists s",
        "create pipe if not exists p auto_ingest = true as copy into t from @s",
        "describe integration i",
    ):
        assert ask(session, statement) == [("Statement executed successfully.",)]


def answer(session: SnowflakeConnection, expression: str, text: str | None) -> Any:
    """What an expression of `x` gives for a text in a table: sqlglot computes some of those over literals itself."""
    ask(session, "create or replace table ops.given (x varchar)")
    literal = "null" if text is None else f"$${text}$$"
    ask(session, f"insert into ops.given values ({literal})")
    return ask(session, f"select {expression} from ops.given")[0][0]


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("as_array(try_parse_json(x))", '["a"]', '["a"]'),
        ("as_array(try_parse_json(x))", '{"a": 1}', None),
        ("try_parse_json(x)", '{"a": 1,}', None),
        ("as_varchar(get_path(try_parse_json(x), 'a'))", '{"a": "{}"}', "{}"),
        ("as_varchar(get_path(try_parse_json(x), 'a'))", '{"a": {}}', None),
        ("is_null_value(get_path(try_parse_json(x), 'a'))", '{"a": null}', True),
        ("is_null_value(get_path(try_parse_json(x), 'b'))", '{"a": null}', None),
        ("coalesce(as_array(try_parse_json(x)), array_construct())", "no json", "[]"),
        ("array_size(as_array(try_parse_json(x)))", '["a", "b"]', 2),
        ("array_size(as_array(try_parse_json(x)))", '{"a": 1}', None),
        ("nullif(get_path(try_parse_json(x), 'a.b')::varchar, '')", '{"a": {"b": "c"}}', "c"),
        ("nullif(get_path(try_parse_json(x), 'a.b')::varchar, '')", '{"a": {"b": ""}}', None),
        ("get_path(try_parse_json(x), 'a')::varchar", '{"a": null}', None),
        ("get_path(try_parse_json(x), 'a')::varchar", '{"a": {"b": [1]}}', '{"b":[1]}'),
        # pragma: allowlist nextline secret
        ("sha2(x, 256)", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("md5(x)", "a", "0cc175b9c0f1b6a831c399e269772661"),  # pragma: allowlist secret
        ("md5(concat(x, 'a'))", None, None),
        ("regexp_replace(x, '[^[:space:]@]+(@|%40)[^[:space:]]+', '[email]')", "to a%40b.org now", "to [email] now"),
        ("regexp_instr(x, 'bot|crawler', 1, 1, 0, 'i')", "a GoogleBot", 9),
        ("regexp_like(x, 'b')", "abc", False),
        ("regexp_like(x, '.b.')", "abc", True),
        ("contains(x, '@')", "a@b", True),
        ("contains(x, '@')", None, None),
        ("left(x, 2)", "abc", "ab"),
        ("try_to_number(x)", "12.6", 13),
        ("try_to_number(x)", "x", None),
        ("try_to_double(x)", "1e3", 1000.0),
        ("try_to_double(x)", "", None),
        ("try_cast(x as decimal(18, 4))", "12.34567", Decimal("12.3457")),
        ("try_cast(x as boolean)", "yes", True),
        ("try_cast(x as boolean)", "maybe", None),
        ("iff(x is null, 'none', x)", None, "none"),
        ("to_timestamp_ntz(try_to_number(x), 3)", "-1", dt.datetime(1969, 12, 31, 23, 59, 59, 999000)),
        (
            "to_timestamp_ntz(cast(try_to_double(x) * 1000 as integer), 3)",
            "1.5",
            dt.datetime(1970, 1, 1, 0, 0, 1, 500000),
        ),
    ],
)
def test_functions_give_what_they_give_in_snowflake(session, expression, text, expected):
    assert answer(session, expression, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T14:00:00.123456+02:00", NOON),
        ("2026-11-20 12:00:00.123456", NOON),
        ("2026-11-20 08:30:00.123456 -0330", NOON),
        ("2026-11-20T12:00:00.123456Z", NOON),
        ("1763614800123", dt.datetime(2025, 11, 20, 5, 0, 0, 123000)),
        ("2026-11-20T14:00:00 Europe/Paris", None),
        ("2026-13-20", None),
        ("", None),
        (None, None),
    ],
)
def test_a_text_is_read_as_a_moment_in_utc(session, text, expected):
    assert answer(session, "cast(convert_timezone('UTC', try_to_timestamp_tz(x)) as timestamp_ntz)", text) == expected


def test_a_moment_becomes_text_to_the_millisecond_unless_a_format_says_more(session):
    ask(session, "create table ops.t as select '2026-11-20 12:00:00.123456'::timestamp_ntz as t, 2.0::double as d")
    assert ask(
        session, "select t::varchar, to_varchar(t), to_varchar(t, 'YYYYMMDDHH24MISSFF6'), d::varchar from ops.t"
    ) == [("2026-11-20 12:00:00.123", "2026-11-20 12:00:00.123", "20261120120000123456", "2")]


def test_microseconds_are_counted_and_added(session):
    ask(
        session,
        "create table ops.t as select '2026-11-20'::timestamp_ntz as a, '2026-11-20 00:00:01.000005'::timestamp_ntz as b",
    )
    waited = "timestampdiff('microsecond', a, b)"
    assert ask(session, f"select {waited}, timestampadd('microsecond', -{waited}, b) from ops.t") == [
        (1_000_005, dt.datetime(2026, 11, 20))
    ]


def test_the_last_and_next_known_value_pass_over_null(session):
    query = """select a,
            last_value(b) ignore nulls over (order by a rows between unbounded preceding and 1 preceding),
            first_value(b) ignore nulls over (order by a rows between 1 following and unbounded following)
        from (select column1 as a, column2 as b from values (1, 'x'), (2, null), (3, 'y')) order by a"""
    assert ask(session, query) == [(1, None, "y"), (2, "x", "y"), (3, "x", None)]


def test_the_value_beside_the_least_and_the_greatest_is_found(session):
    values = "(select column1 as a, column2 as b from values ('x', 2), ('y', 1), ('z', null))"
    assert ask(session, f"select min_by(a, b), max_by(a, b) from {values}") == [("y", "x")]


def test_sums_of_money_are_exact(session):
    ask(session, "create table ops.t as select column1::decimal(18, 4) as d from values ('0.1'), ('0.2')")
    assert ask(session, "select sum(d) from ops.t") == [(Decimal("0.3"),)]


def test_names_that_only_duckdb_reserves_are_names(session):
    ask(session, "create table ops.t as select 1 as at, 2 as lambda")
    assert ask(session, "select at, t.lambda from ops.t as t") == [(1, 2)]


def test_a_path_into_a_text_is_refused(session):
    with pytest.raises(ProgrammingError, match="Invalid argument types for function 'GET_PATH'"):
        answer(session, "get_path(x, 'a')", '{"a": 1}')


def test_text_stays_text_in_a_variant_and_is_one_element_of_an_array(session):
    ask(session, "create table ops.t (v variant)")
    ask(session, """insert into ops.t select '{"a": 1}'""")
    ask(session, """insert into ops.t select parse_json('{"a": 1}')""")
    assert ask(session, "select v:a::int as a from ops.t order by a") == [(1,), (None,)]
    assert answer(session, "x::variant:a", '{"a": 1}') is None
    assert answer(session, "cast(x as array)", "[1]") == '["[1]"]'


@pytest.mark.parametrize("sql", ["null::varchar[]", "count(*) filter (where true)", "epoch_us(x)", "list_value(x)"])
def test_what_only_duckdb_knows_is_refused(session, sql):
    with pytest.raises(ProgrammingError, match="SQL compilation error"):
        answer(session, sql, "a")
