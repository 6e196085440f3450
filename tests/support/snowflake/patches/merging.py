"""`MERGE` by DuckDB's own."""

from typing import Any

import duckdb
from fakesnow import transforms
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms.merge import operations
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from tests.support.snowflake.patches.replacing import around

_ACTIONS = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}


def install() -> None:
    """A merge is one statement, inside a transaction as well.

    fakesnow splits it into a temporary table and changes that join it: DDL, which in Snowflake ends a transaction, and so
    it is here. DuckDB's own needs its columns named its way and takes a second source row for the same target without
    complaint.
    """
    around(transforms, "merge", _whole)
    around(FakeSnowflakeCursor, "_execute", _merged)


def _whole(_: Any, statement: exp.Expression) -> list[exp.Expression]:
    return [statement]


def _merged(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, params: Any = None) -> None:
    if not isinstance(statement, exp.Merge):
        theirs(cursor, statement, params)
        return
    _resolve_columns(statement)
    _refuse_ambiguous(cursor._duck_conn, statement, params)
    query = f"{statement.sql(dialect='duckdb')} returning merge_action"
    actions = [action for (action,) in cursor._duck_conn.execute(query, params).fetchall()]
    done = [what for what, whens in operations(statement).items() if whens]
    counts = [
        exp.Literal.number(actions.count(_ACTIONS[what])).as_(f"number of rows {what}", quoted=True) for what in done
    ]
    theirs(cursor, exp.select(*counts))
    cursor._rowcount = len(actions)


def _resolve_columns(merge: exp.Merge) -> None:
    """What is inserted comes from the source, which Snowflake takes for granted; what is set is of the target."""
    source = merge.args["using"].alias_or_name
    for then in (when.args["then"] for when in merge.args["whens"]):
        if isinstance(then, exp.Insert) and then.expression:
            for column in then.expression.find_all(exp.Column):
                column.set("table", column.args.get("table") or exp.to_identifier(source, quoted=True))
        if isinstance(then, exp.Update):
            for change in then.expressions:
                change.this.set("table", None)


def _refuse_ambiguous(con: duckdb.DuckDBPyConnection, merge: exp.Merge, params: Any) -> None:
    """Snowflake refuses to update a row from several, unless a session parameter says otherwise."""
    updates = [when for when in merge.args["whens"] if isinstance(when.args["then"], exp.Update)]
    if not updates or params:
        return
    condition = exp.or_(*[exp.and_(merge.args["on"], when.args.get("condition") or exp.true()) for when in updates])
    target = merge.this.alias_or_name
    twice = (
        exp.select("1")
        .from_(merge.this.copy())
        .join(merge.args["using"].copy(), on=condition)
        .group_by(exp.column("rowid", table=exp.to_identifier(target, quoted=True)))
        .having("count(*) > 1")
        .limit(1)
    )
    if con.execute(twice.sql(dialect="duckdb")).fetchall():
        message = "Duplicate row detected during DML action"
        raise ProgrammingError(msg=message, errno=100090, sqlstate="42P18")
