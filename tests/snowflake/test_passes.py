"""Passes that are left out would have changed nothing."""

import inspect
import re
from typing import Any

import pytest
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.dialect import parse_one
from fakesnow.instance import FakeSnow
from snowflake.connector.errors import ProgrammingError

from tests.support.snowflake.patches.passes import CONCERNS, Passes

STATEMENTS = (
    "select 1",
    "select upper(v:a.b), v:a::varchar, v[0], lower(v:c), v:d = 'x' from t where v:a::int > 1",
    "select f.value::varchar, f.index from t, lateral flatten(input => t.v) f",
    "select seq from table(flatten(input => parse_json('[1, 2]')))",
    "select * from table(result_scan('0-1'))",
    "select array_agg(a) within group (order by b), array_size(array_construct(1, 2)), object_agg(k, v) from t group by c",
    "select array_agg(a) over (partition by b), [1, 2], array_cat(x, y), array_construct_compact(null, 1) from t",
    "select object_construct('a', 1), object_construct(*), to_variant(a), a::variant, a::array, a::object from t",
    "select to_date('2026-11-20'), to_timestamp(1), to_timestamp_ntz(a), a::timestamp_ntz, to_decimal('1', 3, 1) from t",
    "select '2026-11-20 10:00:00 +09:00'::timestamp_tz, a::float, a::number, a::number(5, 2), a::int from t",
    "select dateadd(day, 1, a::date), dateadd(hour, 1, '2026-11-20'), datediff(day, '2026-11-20', b) from t",
    "select sum(a), avg(b) as mean, median(c), stddev(d), count(*) from t",
    "select regexp_replace(a, '\\\\d'), regexp_substr(a, 'x+'), split(a, ','), trim(b), random(), uniform(1, 2, random())",
    "select sha2(a), sha2_hex(a, 256), sha2_binary(a), x'ff', haversine(1, 2, 3, 4), current_version(), try_parse_json(a)",
    "select to_date(a), try_parse_json(b), sha2(c), to_decimal(d), to_number(d, 5, 1) from t sample (10)",
    "select object_construct('a', 1) as o from t where o is not null",
    "select column1 from values (1), (2)",
    "select a.id as one, b.id from a join b on one = b.id where object_construct('a', a.id) is not null",
    "select s.nextval, current_database() from t sample (10)",
    "select * from information_schema.columns join information_schema.databases",
    "select * from identifier('a.b') where x = $1",
    "set v = 1",
    "use schema d.s",
    "use database d",
    "create database e",
    "create schema s",
    "drop schema s",
    "drop table if exists t",
    "create or replace table t (a int, b varchar(10) comment 'what', c variant, d timestamp_ntz) comment = 'a table'",
    "create transient table t (a int, b varchar) as select 1, 'x'",
    "create table u clone t",
    "create view w as select a from t",
    "create stage g url = 's3://b/c'",
    "create file format ff type = csv",
    "create user u",
    "create tag g",
    "alter table t set tag g = 'x'",
    "comment on table t is 'what'",
    "alter table t set comment = 'what'",
    "alter table t cluster by (a)",
    "alter table t drop clustering key",
    "alter table t resume recluster",
    "alter table t add column e varchar(5)",
    "alter table t modify column a comment 'what'",
    "alter session set autocommit = false",
    "insert into t select parse_json('{}'), 1",
    "update t set a = 1 where b = 2",
    "delete from t where a in (select b from u)",
    "show tables in schema s",
    "show columns in table t",
    "show databases",
    "show procedures",
    "show schemas",
    "show sequences",
    "show users",
    "show warehouses",
    "show user functions",
    "show parameters like 'x'",
    "show primary keys in schema s",
    "show stages",
    "list @g",
    "put file:///a.csv @g",
)


CLOCK = re.compile(r"\d{2}:\d{2}:\d{2}\.\d+")


@pytest.fixture(scope="module")
def server() -> FakeSnow:
    """With none of our patches in place."""
    return FakeSnow()


def gone_over(server: FakeSnow, statement: Any) -> Any:
    """The statement after all passes of fakesnow in a session of its own, or how that fails."""
    try:
        done = FakeSnowflakeCursor._transform(server.connect("D", "S").cursor(), statement, None)
    except ProgrammingError as error:
        return repr(error)
    done = done.statement if isinstance(done, Passes) else done
    return CLOCK.sub("now", repr(done)), set(done.args)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_what_is_left_out_would_have_changed_nothing(server: FakeSnow, sql: str) -> None:
    assert gone_over(server, Passes(parse_one(sql))) == gone_over(server, parse_one(sql))


def test_only_passes_that_there_are_have_concerns() -> None:
    passes = re.findall(r"transforms\.(\w+)", inspect.getsource(inspect.unwrap(FakeSnowflakeCursor._transform)))
    assert set(CONCERNS) <= set(passes)
