"""Functions, types and statements of the patched fakesnow, through the real connector."""

import datetime as dt
import json
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from snowflake.connector import connect
from snowflake.connector.errors import ProgrammingError

from tests.support.snowflake.queries import ask
from tests.support.snowflake.shim import NOON, answer


def test_a_moment_that_is_null_comes_back_as_none_and_one_before_1970_as_itself(session):
    moments = "select column1::timestamp_ntz from values (null), ('1969-12-31 23:59:59.999999'), ('2026-11-20')"
    assert {m for (m,) in ask(session, moments)} == {
        None,
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        dt.datetime(2026, 11, 20),
    }


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


def test_a_table_with_columns_is_made_of_a_query_that_adds_to_moments(session):
    moment = "select dateadd(hour, 24, '2026-11-20 00:00:01'::timestamp_ntz) as then_at"
    ask(session, f"create table ops.t (then_at timestamp_ntz) as (select * from ({moment}) as q)")
    assert ask(session, "select then_at::varchar from ops.t") == [("2026-11-21 00:00:01.000",)]


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
