"""Statements that fakesnow does not know, or takes for something else.

Belongs here: what is said around data. Does not: what changes or asks for rows.
"""

import re
from collections.abc import Iterator
from string import Template
from typing import Any

import fakesnow.cursor as their_cursor
import fakesnow.server as their_server
from fakesnow import info_schema
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import transforms
from fakesnow.transforms.stage import parts_from_var
from sqlglot import exp

from tests.support.snowflake.patches.replacing import around

_WITHOUT_EFFECT = [
    r"\s*(create|alter|drop)\s+(or\s+replace\s+)?"
    r"(warehouse|role|user|resource\s+monitor|storage\s+integration|network\s+policy|share|pipe)\b",
    r"\s*(describe|desc)\s+integration\b",
    r"\s*(grant|revoke)\b",
]
_COMMENTS_AROUND = re.compile(r"\A(\s*(/\*.*?\*/|--[^\n]*\n))+|(\s*/\*((?!\*/).)*\*/\s*)+\Z", re.DOTALL)
"""dbt says in a comment before or behind each statement what it is for."""
_STRING_OR_MARK = re.compile(r"'(?:[^']|'')*'|\$\$.*?\$\$|\?(?=::)", re.DOTALL)
_SET = re.compile(r"\s*alter\s+session\s+set\s+(?P<name>\w+)\s*=\s*'?(?P<value>[^']*?)'?\s*;?\s*", re.IGNORECASE)
_UNSET = re.compile(r"\s*alter\s+session\s+unset\s+(?P<name>\w+)\s*;?\s*", re.IGNORECASE)
_SHOW = re.compile(r"\s*show\s+parameters\s+like\s+'(?P<name>\w+)'(\s+(in|for)\s+session)?\s*;?\s*", re.IGNORECASE)
_DROP_STAGE = re.compile(r"\s*drop\s+stage\s+(if\s+exists\s+)?(?P<name>[\w.$\"]+)\s*;?\s*", re.IGNORECASE)
_COLUMN_COMMENTS = re.compile(
    r"\s*alter\s+(table|view)\s+(?P<table>\S+)\s+(alter|modify)\s+(?P<columns>.*?\bcomment\s.*)",
    re.IGNORECASE | re.DOTALL,
)
_COLUMN_COMMENT = re.compile(
    r"(column\s+)?(?P<column>\"[^\"]+\"|\w+)\s+comment\s+(\$\$(?P<dollars>.*?)\$\$|'(?P<quoted>([^']|'')*)')",
    re.IGNORECASE | re.DOTALL,
)
_SCHEMA_OPTIONS = re.compile(
    r"(?P<schema>\s*create\s+schema\s+(if\s+not\s+exists\s+)?[\w.$\"]+)\s+with\s.*", re.IGNORECASE | re.DOTALL
)
"""Who may grant rights in it and how long it is kept: neither has a meaning here."""
_DONE = "select 'Statement executed successfully.' as status"


def install() -> None:
    """Roles and grants, session parameters, comments, `drop stage`, and `?::date`."""
    their_server.shared_fs.nop_regexes = _WITHOUT_EFFECT
    around(FakeSnowflakeCursor, "execute", _in_words_that_are_known)
    around(FakeSnowflakeCursor, "_execute", _with_comments)
    around(info_schema, "insert_table_comment_sql", _quoted)
    for module in (their_server, their_cursor):
        around(module, "parse_one", _with_marks_apart)
    described = transforms.SQL_DESCRIBE_TABLE.template.replace('NULL::VARCHAR AS "comment"', 'comment AS "comment"')
    transforms.SQL_DESCRIBE_TABLE = Template(described)


def _in_words_that_are_known(theirs: Any, cursor: FakeSnowflakeCursor, command: str, *args: Any, **kwargs: Any) -> Any:
    command = _SCHEMA_OPTIONS.sub(lambda said: said["schema"], _COMMENTS_AROUND.sub("", command))
    for pattern, answer in _ANSWERS.items():
        if (said := pattern.fullmatch(command)) and (instead := answer(cursor._conn, said)):
            return theirs(cursor, instead, **{**kwargs, "binding_params": None})
    return theirs(cursor, command, *args, **kwargs)


def _with_marks_apart(theirs: Any, command: str) -> exp.Expression:
    """`?::date` binds a value and casts it; sqlglot reads `?::` as an operator of another engine."""
    return theirs(_STRING_OR_MARK.sub(lambda found: "? " if found[0] == "?" else found[0], command))


def _set(session: FakeSnowflakeConnection, said: re.Match[str]) -> str | None:
    """fakesnow knows two parameters and refuses all others. Only those two have an effect; the rest can be asked for."""
    name = said["name"].upper()
    if name in {"AUTOCOMMIT", "QUOTED_IDENTIFIERS_IGNORE_CASE"}:
        return None
    session.parameters[name] = said["value"]
    return _DONE


def _unset(session: FakeSnowflakeConnection, said: re.Match[str]) -> str:
    session.parameters.pop(said["name"].upper(), None)
    return _DONE


def _show(session: FakeSnowflakeConnection, said: re.Match[str]) -> str:
    """dbt reads the query tag that it is going to change, to set it back."""
    name = said["name"].upper()
    value = exp.Literal.string(session.parameters.get(name, "")).sql()
    return f"""select '{name}' as "key", {value} as "value", '' as "default", 'SESSION' as "level" """


def _drop_stage(session: FakeSnowflakeConnection, said: re.Match[str]) -> str:
    """fakesnow keeps stages as rows, and tries to drop a table."""
    names = parts_from_var(said["name"], session.database, session.schema)
    query = (
        "delete from _fs_global._fs_information_schema._fs_stages where (database_name, schema_name, name) = (?, ?, ?)"
    )
    session._duck_conn.cursor().execute(query, names)
    return _DONE


def _comment_on_columns(session: FakeSnowflakeConnection, said: re.Match[str]) -> str | None:
    """`alter table t alter "A" comment $$…$$, "B" comment $$…$$`, as dbt says it; fakesnow forgets such comments."""
    table = exp.to_table(said["table"], dialect="snowflake")
    for found in _COLUMN_COMMENT.finditer(said["columns"]):
        text = found["dollars"] if found["quoted"] is None else found["quoted"].replace("''", "'")
        _comment(session, table, exp.parse_identifier(found["column"], dialect="snowflake"), text)
    return _DONE


def _comment(session: FakeSnowflakeConnection, table: exp.Table, column: exp.Identifier, text: str) -> None:
    parts = [table.args.get("catalog"), table.args.get("db"), table.this, column]
    names = [_stored(part) for part in parts]
    full = [names[0] or session.database, names[1] or session.schema, *names[2:]]
    name = ".".join(f'"{part}"' for part in full)
    session._duck_conn.execute(f"comment on column {name} is {exp.Literal.string(text).sql(dialect='duckdb')}")


def _stored(part: exp.Identifier | None) -> str:
    if part is None:
        return ""
    return part.name if part.quoted else part.name.upper()


def _with_comments(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> None:
    """A view's columns are commented where they are named; DuckDB wants the names alone."""
    comments = list(_taken_comments(statement))
    theirs(cursor, statement, *args)
    for table, column, text in comments:
        _comment(cursor._conn, table, column, text)


def _taken_comments(statement: exp.Expression) -> Iterator[tuple[exp.Table, exp.Identifier, str]]:
    schema = statement.this if isinstance(statement, exp.Create) else None
    for column in schema.expressions if isinstance(schema, exp.Schema) else ():
        for constraint in list(column.args.get("constraints") or ()):
            if isinstance(constraint.kind, exp.CommentColumnConstraint):
                yield schema.this, column.this, constraint.kind.this.name
                column.args["constraints"].remove(constraint)


def _quoted(theirs: Any, catalog: str, schema: str, table: str, comment: str | None) -> str:
    """A comment may hold an apostrophe, or nothing."""
    return theirs(catalog, schema, table, (comment or "").replace("'", "''"))


_ANSWERS = {
    _SET: _set,
    _UNSET: _unset,
    _SHOW: _show,
    _DROP_STAGE: _drop_stage,
    _COLUMN_COMMENTS: _comment_on_columns,
}
"""What is said, by how it is answered: by another statement, or none if fakesnow knows it after all."""
