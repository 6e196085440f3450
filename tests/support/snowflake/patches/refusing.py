"""What DuckDB would do and Snowflake does not: a test must not pass here for a reason that is not there.

Belongs here: what is refused, and text that stays text in semi-structured types. Does not: what gives another answer
(functions.py). Functions that sqlglot knows of other engines get through, and text that `update` or `merge` puts into a
VARIANT is parsed.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import duckdb
from fakesnow import macros
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from tests.support.snowflake.patches.replacing import around

MACROS: Mapping[str, str] = {
    # A path goes into a VARIANT. Into a text, as DuckDB lets it, it is an error of compilation.
    "_fs_variant(x)": """case when typeof(x) = 'VARCHAR'
        then error('SQL compilation error: Invalid argument types for function ''GET_PATH'': (VARCHAR, VARCHAR)')
        else x end""",
    # Text becomes a VARIANT that holds a text; only `parse_json` looks inside.
    "_fs_to_variant(x)": """case when x is null then null
        when typeof(x) = 'JSON' then x::varchar else to_json(x)::varchar end::json""",
    # DuckDB passes over a comma before a closing brace. Crude: one inside a text counts as well.
    "_fs_strict_json(x)": "case when not regexp_matches(x, ',\\s*\\}') then x end",
    # What is no array becomes an array of one.
    "_fs_to_array(x)": """case when x is null then null
        when typeof(x) = 'VARCHAR' then json_array(x)::varchar
        when typeof(x) = 'JSON' and json_type(x::varchar) <> 'ARRAY' then '[' || x::varchar || ']'
        when typeof(x) = 'JSON' then x::varchar else to_json(x)::varchar end::json""",
}
_ALSO_IN_SNOWFLAKE = {"hash"}
_LIST_TYPE = re.compile(
    r"\b(varchar|text|string|int|integer|bigint|double|float|date|timestamp|boolean)\s*\[\s*\]", re.IGNORECASE
)
_STRINGS = re.compile(r"'([^']|'')*'|\$\$.*?\$\$|\"[^\"]*\"|/\*.*?\*/|--[^\n]*", re.DOTALL)
_VARIANT, _ARRAY = exp.DataType.Type.VARIANT, exp.DataType.Type.ARRAY


def install() -> None:
    """Refuse, or do as Snowflake does, before anything else is done to a statement."""
    around(macros, "creation_sql", _with_macros)
    around(FakeSnowflakeCursor, "execute", _read)
    around(FakeSnowflakeCursor, "_transform", _strictly)
    around(FakeSnowflakeCursor, "_execute", _text_stays_text)


def _with_macros(theirs: Any, catalog: str) -> str:
    return theirs(catalog) + "".join(f"create or replace macro {catalog}.{n} as ({b});\n" for n, b in MACROS.items())


def _read(theirs: Any, cursor: FakeSnowflakeCursor, command: str, *args: Any, **kwargs: Any) -> Any:
    """`varchar[]` is how DuckDB writes a type; sqlglot cannot tell it from `array(varchar)`."""
    if found := _LIST_TYPE.search(_STRINGS.sub(" ", command)):
        raise _syntax_error(f"unexpected '[' in {found[0]}")
    return theirs(cursor, command, *args, **kwargs)


def _strictly(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> exp.Expression:
    for node in statement.find_all(exp.Anonymous, exp.Filter):
        _refuse(node)
    return theirs(cursor, statement.transform(_strict, copy=False), *args)


def _refuse(node: exp.Expression) -> None:
    if isinstance(node, exp.Filter):
        raise _syntax_error("unexpected 'filter'")
    if node.name.lower() in _only_in_duckdb():
        message = f"SQL compilation error:\nUnknown function {node.name.upper()}."
        raise ProgrammingError(msg=message, errno=2140, sqlstate="42601")


def _strict(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.ParseJSON) and node.args.get("safe"):
        node.set("this", exp.Anonymous(this="_fs_strict_json", expressions=[node.this]))
    if (
        isinstance(node, exp.JSONExtract)
        and isinstance(node.this, exp.Column)
        and isinstance(node.this.this, exp.Identifier)
    ):
        node.set("this", exp.Anonymous(this="_fs_variant", expressions=[node.this]))
    if isinstance(node, exp.Cast) and node.to.this in {_VARIANT, _ARRAY}:
        name = "_fs_to_array" if node.to.this is _ARRAY else "_fs_to_variant"
        return exp.Anonymous(this=name, expressions=[node.this])
    return node


def _text_stays_text(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> None:
    """A text that is inserted into a VARIANT is a text there; DuckDB would parse it."""
    if isinstance(statement, exp.Insert) and not any(name.startswith("create_") for name in statement.args):
        _wrap_source(cursor, statement)
    theirs(cursor, statement, *args)


def _wrap_source(cursor: FakeSnowflakeCursor, insert: exp.Insert) -> None:
    target = insert.this.this if isinstance(insert.this, exp.Schema) else insert.this
    types = {name: kind for name, kind, *_ in cursor._duck_conn.execute(f"describe {target.sql('duckdb')}").fetchall()}
    named = [column.name for column in insert.this.expressions] if isinstance(insert.this, exp.Schema) else list(types)
    if "JSON" not in {types.get(name) for name in named} or not insert.expression:
        return
    columns = [exp.column(name, quoted=True) for name in named]
    values = [
        exp.Anonymous(this="_fs_to_variant", expressions=[column]) if types[name] == "JSON" else column
        for name, column in zip(named, columns, strict=True)
    ]
    alias = exp.TableAlias(
        this=exp.to_identifier("given"), columns=[exp.to_identifier(name, quoted=True) for name in named]
    )
    insert.set("expression", exp.select(*values).from_(exp.Subquery(this=insert.expression, alias=alias)))


def _syntax_error(what: str) -> ProgrammingError:
    return ProgrammingError(msg=f"SQL compilation error:\nsyntax error: {what}.", errno=1003, sqlstate="42000")


@cache
def _only_in_duckdb() -> frozenset[str]:
    """Functions that sqlglot does not know of Snowflake, and DuckDB has."""
    with duckdb.connect() as con:
        names = con.execute("select distinct function_name from duckdb_functions()").fetchall()
    return frozenset(name for (name,) in names if not name.startswith("_")) - _ALSO_IN_SNOWFLAKE
