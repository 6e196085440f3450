"""How a file of a stage becomes rows of a table: the `insert` that a `copy` does for it.

Belongs here: what Snowflake makes of the values of a file. Does not: which files (copying.py).
"""

import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from tests.support.snowflake.patches.options import Copy, unsupported
from tests.support.snowflake.patches.staging import StagedFile

_LARGEST_VALUE = 16 * 1024 * 1024  # bytes of a VARIANT


def insert_of(con: DuckDBPyConnection, copy: Copy, file: StagedFile) -> str:
    """The statement, in DuckDB's words."""
    _check_times(copy, file)
    if copy.select:
        return _transformed(con, copy, file)
    if copy.match != "NONE":
        return _matched(con, copy, file)
    return _as_variant(con, copy, file)


def _transformed(con: DuckDBPyConnection, copy: Copy, file: StagedFile) -> str:
    """`copy into t from (select $1:a, metadata$filename from @stage)`: only the list of the select counts."""
    if any(copy.select.args.get(clause) for clause in ("where", "group", "joins", "order", "limit")):
        raise unsupported("more than a list of columns in a COPY transformation, nor does Snowflake,")
    values = [item.transform(_resolved, file).sql(dialect="duckdb") for item in copy.select.expressions]
    columns = list(copy.target.columns(con))[: len(values)]
    return _insert(copy, columns, values, _values(copy, file))


def _matched(con: DuckDBPyConnection, copy: Copy, file: StagedFile) -> str:
    """`match_by_column_name`: columns in any order; those that the file lacks are NULL, not their default."""
    if copy.format["TYPE"] != "PARQUET":
        raise unsupported("MATCH_BY_COLUMN_NAME for other files than Parquet")
    there = {
        _key(copy, name): (name, kind) for name, kind, *_ in con.execute(f"describe from {_parquet(file)}").fetchall()
    }
    metadata = dict(copy.metadata)
    columns = copy.target.columns(con)
    values = [
        _metadata(metadata[name], file) if name in metadata else _value(there.get(_key(copy, name)), kind)
        for name, kind in columns.items()
    ]
    return _insert(copy, list(columns), values, f"(select *, file_row_number + 1 as _number from {_parquet(file)})")


def _as_variant(con: DuckDBPyConnection, copy: Copy, file: StagedFile) -> str:
    """Without columns to match or a transformation, a record is one value, and the table one column for it."""
    columns = copy.target.columns(con)
    if list(columns.values()) != ["JSON"]:
        kind = copy.format["TYPE"]
        raise ProgrammingError(
            msg=f"SQL compilation error:\n{kind} file format can produce one and only one column of type variant, object, or "
            "array. Load data into separate columns using the MATCH_BY_COLUMN_NAME copy option or copy with transformation.",
            errno=2019,
            sqlstate="0A000",
        )
    return _insert(copy, list(columns), ["_value"], _values(copy, file))


def _insert(copy: Copy, columns: list[str], values: list[str], source: str) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"insert into {copy.target.sql} ({names}) select {', '.join(values)} from {source}"


def _key(copy: Copy, name: str) -> str:
    return name if copy.match == "CASE_SENSITIVE" else name.upper()


def _value(found: tuple[str, str] | None, kind: str) -> str:
    """A column of the file for a column of the table.

    Text stays text in a VARIANT (`payload:a` is then NULL) until `parse_json`; DuckDB would parse it in passing.
    """
    if found is None:
        return "null"
    name, its_kind = found
    column = '"' + name.replace('"', '""') + '"'
    return f"to_json({column})" if kind == "JSON" and its_kind != "JSON" else column


def _values(copy: Copy, file: StagedFile) -> str:
    """A relation of one JSON value (`_value`) for each record, with its number in the file from 1 (`_number`)."""
    if copy.format["TYPE"] == "PARQUET":
        return (
            "(select to_json(record) as _value, row_number() over () as _number "
            f"from read_parquet('{file.path}') as record)"
        )
    form = "array" if copy.format.get("STRIP_OUTER_ARRAY") else "unstructured"
    reader = f"read_json_objects('{file.path}', format = '{form}', maximum_object_size = {_LARGEST_VALUE})"
    return f"(select json as _value, row_number() over () as _number from {reader})"


def _parquet(file: StagedFile) -> str:
    return f"read_parquet('{file.path}', file_row_number = true)"


def _resolved(node: exp.Expression, file: StagedFile) -> exp.Expression:
    """`$1` is the record, with or without the alias of the stage before it."""
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Parameter):
        node = node.this
    if isinstance(node, exp.Parameter):
        return exp.column("_value")
    if isinstance(node, exp.Column) and node.name.upper().startswith("METADATA$"):
        return exp.maybe_parse(_metadata(node.name.upper(), file), dialect="duckdb")
    return node


def _metadata(name: str, file: StagedFile) -> str:
    """The columns that Snowflake adds to those of a file."""
    known = {
        "METADATA$FILENAME": exp.Literal.string(file.key).sql(dialect="duckdb"),
        "METADATA$FILE_ROW_NUMBER": "_number",
        "METADATA$START_SCAN_TIME": "current_timestamp",
    }
    if name not in known:
        raise unsupported(name)
    return known[name]


def _check_times(copy: Copy, file: StagedFile) -> None:
    """Without `use_logical_type` Snowflake reads a time that only the newer annotation marks as a number: an invalid date.

    So it is for nanoseconds and for moments without a zone as Arrow writes them; DuckDB reads them all.
    https://github.com/snowflakedb/snowflake-connector-python/issues/1820
    """
    if copy.format["TYPE"] != "PARQUET" or copy.format.get("USE_LOGICAL_TYPE"):
        return
    schema = pq.ParquetFile(file.path).schema
    for column in (schema.column(number) for number in range(len(schema))):
        if column.logical_type.type in {"TIMESTAMP", "TIME"} and column.converted_type == "NONE":
            raise ProgrammingError(
                msg=f"Invalid date in column {column.path} of '{file.key}': say use_logical_type = true.",
                errno=100035,
                sqlstate="22007",
            )
