"""What of our Snowflake SQL is proven by running it here, and what is only written down: `docs/snowflake.md` must say the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import sqlglot
from sqlglot import exp

from recsys_platform.config.settings import Settings
from recsys_platform.config.snowflake_setup import render_scripts
from recsys_platform.defs.transform.project import ROOT
from recsys_platform.warehouse.snowflake import ddl
from recsys_platform.warehouse.snowflake.publishing import live_view, versions_table

DOCS = ROOT.parent / "docs" / "snowflake.md"
GIVEN = {"hub_role_arn": "arn:aws:iam::123456789012:role/hub", "public_key": "MIIB", "monthly_credits": "20"}
NETWORKS = ("203.0.113.10/32", "203.0.113.11/32")


def statements(built: Path, settings: Settings) -> Iterator[str]:
    """Every statement: models as they were run, tests as they were compiled, tables of Python's, scripts for administrators."""
    for folder in ("run", "compiled"):
        yield from (path.read_text() for path in sorted((built / folder).rglob("*.sql")))
    yield from ddl.statements()
    yield from (versions_table("popular_books", "ops.carried"), live_view("popular_books", ["segment", "book_id"]))
    yield from render_scripts(settings, GIVEN, NETWORKS).values()


# What the server for tests has behind it; of everything else it says that it was done.
RUN = {"database", "schema", "table", "view", "stage", "file format", "temporary table"}
_HEAD = re.compile(
    r"(?P<verb>create|alter|grant|describe|use)\s+(?:or replace\s+|transient\s+|secure\s+|if not exists\s+)*"
    r"(?P<kind>resource monitor|network policy|storage integration|file format|temporary table|\w+)",
    re.IGNORECASE,
)
_PROPERTIES = {
    exp.TransientProperty: "transient",
    exp.SecureProperty: "secure",
    exp.ClusterProperty: "cluster by",
    exp.CopyGrantsProperty: "copy grants",
}


def only_written(text: str, statement: exp.Expression) -> set[str]:
    """What of a statement the server for tests takes and does nothing about."""
    found = {name for kind, name in _PROPERTIES.items() if statement.find(kind)}
    head = _HEAD.match(text.strip())
    if head and head["verb"].lower() == "grant":
        return found | {"grant"}
    if head and head["kind"].lower() not in RUN:
        return found | {f"{head['verb']} {head['kind']}".lower()}
    return found


def only_in_other_dialects(statement: exp.Expression) -> set[str]:
    """What sqlglot reads in Snowflake's dialect and would write otherwise: the server runs it, Snowflake does not."""
    found = {"window … as" for select in statement.find_all(exp.Select) if select.args.get("windows")}
    found |= {f"{join.kind} join" for join in statement.find_all(exp.Join) if join.kind in {"SEMI", "ANTI"}}
    found |= {"distinct on" for distinct in statement.find_all(exp.Distinct) if distinct.args.get("on")}
    return found | {"filter (where …)" for _ in statement.find_all(exp.Filter)}


def assert_all_parses_and_the_docs_tell_what_is_only_written(built: Path, settings: Settings) -> None:
    """`built`: the target folder of dbt after it built everything."""
    found, foreign = set[str](), set[str]()
    for text in statements(built, settings):
        for statement in sqlglot.parse(text, dialect="snowflake"):
            if statement is not None:
                foreign |= only_in_other_dialects(statement)
                found |= only_written(statement.sql(dialect="snowflake"), statement)
    assert foreign == set()
    told = re.findall(r"^\| `([a-z ]+)` \|", DOCS.read_text().partition("## Only written")[2], re.MULTILINE)
    assert sorted(found) == sorted(told)
