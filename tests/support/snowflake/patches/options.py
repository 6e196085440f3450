"""What a `COPY INTO` statement says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection
from fakesnow.copy_into import _extract_table
from fakesnow.transforms.file_format import lookup_file_format
from fakesnow.transforms.options import parse_options
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

_OPTIONS = {"FILE_FORMAT", "FILES", "PATTERN", "FORCE", "ON_ERROR", "MATCH_BY_COLUMN_NAME", "INCLUDE_METADATA"}
_OF_FORMATS = {
    "JSON": {"TYPE", "COMPRESSION", "STRIP_OUTER_ARRAY"},
    "PARQUET": {"TYPE", "COMPRESSION", "USE_LOGICAL_TYPE", "SNAPPY_COMPRESSION", "BINARY_AS_TEXT"},
}


@dataclass(frozen=True)
class Target:
    """The table to load, and those of its columns that the statement names, or none for all."""

    database: str
    schema: str
    table: str
    named: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The quoted name."""
        return ".".join(f'"{part}"' for part in (self.database, self.schema, self.table))

    def columns(self, con: DuckDBPyConnection) -> dict[str, str]:
        """The DuckDB type by the name of each column to load."""
        types = {name: kind for name, kind, *_ in con.execute(f"describe {self.sql}").fetchall()}
        return {name: types[name] for name in self.named or types}


@dataclass(frozen=True)
class Copy:
    """A `copy` statement; `metadata` gives the target columns that are filled with a metadata column."""

    target: Target
    select: exp.Select | None
    format: Mapping[str, Any]
    files: tuple[str, ...] = ()
    pattern: str | None = None
    force: bool = False
    match: str = "NONE"
    metadata: tuple[tuple[str, str], ...] = ()


def parsed(con: DuckDBPyConnection, statement: exp.Copy, database: str, schema: str) -> Copy:
    """The statement read; `ProgrammingError` if it says what these tests' server does not do."""
    options = {param.this.name.upper(): param for param in statement.args.get("params") or []}
    _refuse(options.keys() - _OPTIONS, "of COPY")
    _refuse_other_than_abort(options.get("ON_ERROR"))
    table = _extract_table(statement.this)
    named = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    source = statement.args["files"][0]
    return Copy(
        Target(table.catalog or database, table.db or schema, table.name, tuple(column.name for column in named)),
        source.this if isinstance(source, exp.Subquery) else None,
        _format(con, options.get("FILE_FORMAT"), database, schema),
        _texts(options.get("FILES")),
        next(iter(_texts(options.get("PATTERN"))), None),
        "FORCE" in options and bool(options["FORCE"].expression.this),
        options["MATCH_BY_COLUMN_NAME"].expression.name.upper() if "MATCH_BY_COLUMN_NAME" in options else "NONE",
        _metadata(options.get("INCLUDE_METADATA")),
    )


def _format(con: DuckDBPyConnection, param: exp.Expression | None, database: str, schema: str) -> dict[str, Any]:
    """The options of the file format, by name in upper case. A stage's own format is not remembered by fakesnow."""
    given = parse_options(param.expressions) if param else {}
    if name := given.pop("FORMAT_NAME", None):
        given = {**lookup_file_format(con, str(name), database, schema), **given}
    kind = str(given.get("TYPE", "none")).upper()
    if kind not in _OF_FORMATS:
        raise unsupported(f"a COPY from an external stage with file_format of type {kind}: say json or parquet")
    _refuse(given.keys() - _OF_FORMATS[kind], f"of FILE_FORMAT {kind}")
    return {**given, "TYPE": kind}


def _texts(param: exp.Expression | None) -> tuple[str, ...]:
    return tuple(literal.name for literal in param.find_all(exp.Literal)) if param else ()


def _metadata(param: exp.Expression | None) -> tuple[tuple[str, str], ...]:
    pairs = param.find_all(exp.EQ) if param else ()
    return tuple((pair.this.name.upper(), pair.expression.name.upper()) for pair in pairs)


def _refuse_other_than_abort(param: exp.Expression | None) -> None:
    if param and param.expression.name.upper() != "ABORT_STATEMENT":
        raise unsupported(f"ON_ERROR = {param.expression.name}")


def _refuse(names: set[str], where: str) -> None:
    if names:
        raise unsupported(f"{', '.join(sorted(names))} {where}")


def unsupported(what: str) -> ProgrammingError:
    """What Snowflake may know and this server does not is said, not passed over."""
    return ProgrammingError(msg=f"The server for tests does not know {what}.", errno=9999, sqlstate="0A000")
