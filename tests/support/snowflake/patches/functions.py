"""Functions that fakesnow lacks, or has with other answers.

Belongs here: what an expression gives. Does not: how a value travels to the client (types.py).

Not as in Snowflake: division of whole numbers gives doubles, not six decimals; a double that is cast to a whole number is
rounded half to even, not away from zero; text is read as a moment in ISO 8601 only, and as a number of seconds or less;
`||` puts a moment into a text as DuckDB does, only `cast` and `to_varchar` as Snowflake.
"""

from functools import cache
from typing import Any

import duckdb
from fakesnow import macros, transforms
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from tests.support.snowflake.patches.options import unsupported
from tests.support.snowflake.patches.replacing import around

_ISO = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?"
_OFFSET = r"\s?(Z|[+-]\d{2}(:?\d{2})?)"
_MACROS = {
    # The array itself, or NULL for any other value.
    "as_array(x)": "case when json_type(x) = 'ARRAY' then x end",
    # The text itself, or NULL for any other value.
    "as_varchar(x)": "case when json_type(x) = 'VARCHAR' then json_extract_string(x, '$') end",
    # Whether a value is JSON's null, which is not SQL's; NULL for that.
    "is_null_value(x)": "json_type(x) = 'NULL'",
    # Digits alone are seconds since 1970, or milliseconds and so on if they are too many for seconds.
    "_fs_from_epoch(x)": """make_timestamp(case
        when not regexp_full_match(x, '-?\\d+') then null
        when abs(try_cast(x as hugeint)) < 31536000000 then try_cast(x as bigint) * 1000000
        when abs(try_cast(x as hugeint)) < 31536000000000 then try_cast(x as bigint) * 1000
        when abs(try_cast(x as hugeint)) < 31536000000000000 then try_cast(x as bigint)
        else try_cast(x as bigint) // 1000 end)""",
    # Text without an offset is in the zone of the session, which is UTC here.
    "try_to_timestamp_tz(x)": f"""case
        when regexp_full_match(x, '{_ISO}({_OFFSET})?') then try_cast(regexp_replace(x, '\\s([Z+-])', '\\1') as timestamptz)
        else _fs_from_epoch(x) at time zone 'UTC' end""",
    # An offset is passed over: the moment is that of the clock on the wall.
    "try_to_timestamp_ntz(x)": f"""case
        when regexp_full_match(x, '{_ISO}({_OFFSET})?') then try_cast(regexp_extract(x, '^{_ISO}') as timestamp)
        else _fs_from_epoch(x) end""",
    # Text of a value as `cast` gives it: moments to the millisecond, whole doubles without a point, JSON without quotes.
    "_fs_to_text(x)": """case typeof(x)
        when 'TIMESTAMP' then strftime(try_cast(x::varchar as timestamp), '%Y-%m-%d %H:%M:%S.%g')
        when 'TIMESTAMP WITH TIME ZONE' then strftime(try_cast(x::varchar as timestamptz), '%Y-%m-%d %H:%M:%S.%g +0000')
        when 'DOUBLE' then regexp_replace(x::varchar, '\\.0$', '')
        when 'JSON' then json_extract_string(x::varchar, '$')
        else x::varchar end""",
}
_TEXT = {exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT}
_IS_TEXT = (exp.Literal, exp.JSONExtract, exp.JSONExtractScalar, exp.Concat, exp.DPipe, exp.Lower, exp.Upper, exp.MD5)


def install() -> None:
    """Functions as macros of each database; expressions where a function alone would not do."""
    around(macros, "creation_sql", _with_macros)
    around(transforms, "numeric_agg_implicit_cast", _without_cast)
    around(transforms, "create_table_as", _with_columns_for_star)
    around(FakeSnowflakeCursor, "_transform", _as_snowflake_means)


def _with_macros(theirs: Any, catalog: str) -> str:
    ours = (f"create or replace macro {catalog}.{name} as ({body});\n" for name, body in _MACROS.items())
    return theirs(catalog) + "".join(ours).replace(" _fs_from_epoch", f" {catalog}.main._fs_from_epoch")


def _without_cast(theirs: Any, node: exp.Expression) -> exp.Expression:
    """fakesnow adds up everything as doubles, so that text may be added up too; money would lose its decimals."""
    was_cast = isinstance(node.this, exp.TryCast)
    answer = theirs(node)
    aggregate = answer.this if isinstance(answer, exp.Alias) else answer
    if isinstance(aggregate, exp.AggFunc) and isinstance(aggregate.this, exp.TryCast) and not was_cast:
        aggregate.set("this", aggregate.this.this)
    return answer


def _with_columns_for_star(theirs: Any, statement: exp.Expression, con: duckdb.DuckDBPyConnection) -> exp.Expression:
    """`create table t (a int) as select * …`: fakesnow asks DuckDB for the columns of the query in SQL of no dialect, where
    `dateadd` is another function.
    """
    query = statement.expression if isinstance(statement, exp.Create) and statement.kind == "TABLE" else None
    query = query.unnest() if isinstance(query, exp.Subquery) else query
    if isinstance(query, exp.Select) and isinstance(statement.this, exp.Schema) and query.is_star:
        columns = con.execute(f"describe {query.sql(dialect='duckdb')}").fetchall()
        query.set("expressions", [exp.column(exp.to_identifier(name, quoted=False)) for name, *_ in columns])
    return theirs(statement, con)


def _as_snowflake_means(
    theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any
) -> exp.Expression:
    statement = statement.transform(_with_format, copy=False)
    statement = theirs(cursor, statement, *args)
    for rewrite in (_to_text, _whole_match, _quoted_if_reserved):
        statement = statement.transform(rewrite, copy=False)
    return statement


def _with_format(node: exp.Expression) -> exp.Expression:
    """`to_varchar(moment, 'YYYYMMDD')`: sqlglot drops the format unless it knows that it is a moment."""
    if not isinstance(node, exp.ToChar):
        return node
    written = node.args.get("format")
    if written is None:
        return exp.cast(node.this, "text")
    if not written.is_string or "YY" not in written.name.upper():
        raise unsupported(f"to_varchar with the format {written.sql()}")
    return exp.TimeToStr(this=node.this, format=Dialect.get_or_raise("snowflake").format_time(written))


def _to_text(node: exp.Expression) -> exp.Expression:
    """`cast(x as varchar)`: DuckDB writes microseconds, which Snowflake's default format leaves out."""
    if isinstance(node, exp.Cast) and node.to.this in _TEXT and not _is_text(node.this):
        return exp.Anonymous(this="_fs_to_text", expressions=[node.this])
    return node


def _is_text(node: exp.Expression) -> bool:
    """Whether a value is sure to be a text, so that it need not be told by its type: planning that takes long.

    fakesnow puts `->>` into parentheses.
    """
    return isinstance(node, _IS_TEXT) or isinstance(node.unnest(), exp.JSONExtractScalar)


def _whole_match(node: exp.Expression) -> exp.Expression:
    """`regexp_like` and `rlike` want the whole text to match; sqlglot looks for a part of it."""
    if isinstance(node, exp.RegexpLike):
        return exp.Anonymous(this="regexp_full_match", expressions=[node.this, node.expression])
    return node


def _quoted_if_reserved(node: exp.Expression) -> exp.Expression:
    """Names that are words of DuckDB's grammar only."""
    if isinstance(node, exp.Identifier) and not node.quoted and node.name.lower() in _reserved():
        node.set("quoted", True)
    return node


@cache
def _reserved() -> frozenset[str]:
    with duckdb.connect() as con:
        words = con.execute(
            "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
        ).fetchall()
    return frozenset(word for (word,) in words)
