"""Temporary tables of a session.

In Snowflake a temporary table belongs to a schema, may be named with it, hides a permanent table of that name from its own
session, is seen by no other session, and goes when the session ends. DuckDB knows temporary tables without a schema only,
and fakesnow hands them over as they are. Here each is a plain table in its schema under a name that only its session knows;
what the session says is rewritten to that name. Not done: names inside `identifier(…)`, renaming, listing under their name.
"""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

from tests.support.snowflake.patches.replacing import around

Name = tuple[str, str, str]
"""Database, schema and name, as they are stored."""

MARK = "$temporary$"
"""Stands in the stored name of every temporary table."""

_TAKES_ALIAS = (exp.From, exp.Join, exp.Update, exp.Delete, exp.Merge)


class Temporaries:
    """What the temporary tables of one session are called in DuckDB."""

    def __init__(self, session: FakeSnowflakeConnection) -> None:
        self.session = session
        self.stored: dict[Name, str] = {}
        self.kinds: dict[Name, str] = {}

    def resolve(self, statement: exp.Expression) -> exp.Expression:
        """The statement with stored names; notes what it creates and drops."""
        is_temporary = _is_temporary(statement)
        if is_temporary:
            self._create(statement)
        created = None if is_temporary else _created(statement)
        for table in list(_tables(statement)):
            if table is not created and (stored := self.stored.get(self.full_name(table))):
                _rename(table, stored)
                if isinstance(statement, exp.Drop):
                    self._forget(stored)
        return statement

    def full_name(self, table: exp.Table) -> Name:
        """The name as Snowflake completes it: without quotes in upper case, with the session's database and schema."""
        database, schema, name = (_stored(table.args.get(part)) for part in ("catalog", "db", "this"))
        return database or self.session.database or "", schema or self.session.schema or "", name

    def drop_all(self) -> None:
        """At the end of the session."""
        for (database, schema, name), stored in self.stored.items():
            kind = self.kinds[database, schema, name]
            self.session._duck_conn.execute(f'drop {kind} if exists "{database}"."{schema}"."{stored}"')

    def _create(self, statement: exp.Create) -> None:
        name = self.full_name(statement.find(exp.Table))
        self.stored.setdefault(name, f"{name[2]}{MARK}{uuid4().hex}")
        self.kinds[name] = statement.kind
        properties = statement.args["properties"]
        properties.set("expressions", [p for p in properties.expressions if not isinstance(p, exp.TemporaryProperty)])

    def _forget(self, stored: str) -> None:
        self.stored = {name: other for name, other in self.stored.items() if other != stored}


def install() -> None:
    """Every session has temporary tables of its own."""
    around(FakeSnowflakeCursor, "_transform", _resolved)
    around(FakeSnowflakeCursor, "execute", _unless_it_fails)


def _resolved(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> exp.Expression:
    return theirs(cursor, _of(cursor._conn).resolve(statement), *args)


def _unless_it_fails(theirs: Any, cursor: FakeSnowflakeCursor, *args: Any, **kwargs: Any) -> Any:
    """A statement that fails has created and dropped nothing."""
    temporaries = _of(cursor._conn)
    before = dict(temporaries.stored)
    try:
        return theirs(cursor, *args, **kwargs)
    except Exception:
        temporaries.stored = before
        raise


def _of(session: FakeSnowflakeConnection) -> Temporaries:
    if not hasattr(session, "temporaries"):
        session.temporaries = Temporaries(session)
        session.at_end = {"temporaries": session.temporaries.drop_all}
    return session.temporaries


def _is_temporary(statement: exp.Expression) -> bool:
    return (
        isinstance(statement, exp.Create)
        and statement.kind in {"TABLE", "VIEW"}
        and statement.find(exp.TemporaryProperty) is not None
    )


def _created(statement: exp.Expression) -> exp.Table | None:
    """The table that a `create` makes. Without `temporary` it is none of ours, whatever its name."""
    return statement.this.find(exp.Table) if isinstance(statement, exp.Create) else None


def _tables(statement: exp.Expression) -> Iterator[exp.Table]:
    """The tables that a statement names; the name of a common table expression is none."""
    common = {_stored(with_.args["alias"].this) for with_ in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and (table.db or _stored(table.this) not in common):
            yield table


def _stored(identifier: exp.Expression | None) -> str:
    if not isinstance(identifier, exp.Identifier):
        return ""
    return identifier.name if identifier.quoted else identifier.name.upper()


def _rename(table: exp.Table, stored: str) -> None:
    """Columns may name the table they come from: it keeps its old name as an alias."""
    if isinstance(table.parent, _TAKES_ALIAS) and not table.alias:
        table.set("alias", exp.TableAlias(this=table.this.copy()))
    table.set("this", exp.to_identifier(stored, quoted=True))
