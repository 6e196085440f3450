"""Ids that are e-mail addresses get the hash that the dbt macro `pseudonym` gives them."""

import re
from collections.abc import Iterator

import duckdb
import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.common.pseudonyms import Pseudonyms
from recsys_platform.transform.dbt import ROOT

SALT = "a salt of at least 16 characters"  # pragma: allowlist secret
IDS = ["u1", "ann@example.com", "Ann@Example.COM", "ann%40example.com", "ann%2540example.com", "ann\uff20example.com",
       "ann\ufe6bexample.com", "model@1.2", "a@b", "50%", "100%40", '"ann lee"@example.com', "mailto:ann@example.com",
       "ann@example", "\\u0061nn\\u0040example.com", "x@y.z", "user-7f3a", "@", "a@b.c d", "zz@zz.zz", "Z@Z.Z"]  # fmt: skip


def sql_of_the_macro() -> str:
    """The expression that `pseudonym` renders to on DuckDB, of the column `id`."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])  # noqa: S701  # SQL
    macros = "".join((ROOT / "macros" / name).read_text() for name in ("privacy.sql", "bots.sql"))
    # dbt's `dispatch` and `return`, as DuckDB has them.
    macros = re.sub(r"\{\{ return\(adapter\.dispatch\('(\w+)'\)\((.*?)\)\) \}\}", r"{{ duckdb__\1(\2) }}", macros)
    macros = macros.replace("{{ source('raw', 'pii_salt') }}", "pii_salt")
    return environment.from_string(macros + "{{ pseudonym('id') }}").render().strip()


@pytest.fixture(scope="module")
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create table pii_salt as select ? as salt", [SALT])
        yield connection


def in_the_marts(warehouse: duckdb.DuckDBPyConnection, ids: list[str]) -> list[str]:
    rows = warehouse.execute(f"select {sql_of_the_macro()} from (select unnest(?::varchar[]) as id)", [ids])
    return [found for (found,) in rows.fetchall()]


def test_an_id_has_the_form_of_the_marts(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = [Pseudonyms(SALT).of(each) for each in IDS]
    assert found == in_the_marts(warehouse, IDS)
    assert len({each for each in found if len(each) == 64}) > 5
    assert found[:1] == ["u1"]


SIGNS = st.text(st.sampled_from(list('azZ[]\\^_u0041@%."=&?/|<>() ;,:{}\uff20\ufe6b\u00e9')), min_size=1, max_size=14)


@settings(max_examples=8)
@given(st.lists(SIGNS, min_size=100, max_size=200))
def test_whatever_an_id_looks_like_the_marts_and_the_gateway_agree(
    warehouse: duckdb.DuckDBPyConnection, ids: list[str]
) -> None:
    assert [Pseudonyms(SALT).of(each) for each in ids] == in_the_marts(warehouse, ids)


def test_without_the_salt_an_id_stays() -> None:
    assert Pseudonyms().of("ann@example.com") == "ann@example.com"
