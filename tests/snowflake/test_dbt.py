"""A small project in which dbt does on this server what ours does on Snowflake."""

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult
from snowflake.connector import SnowflakeConnection

from tests.support.snowflake.queries import ask

PROJECT = """
name: tiny
version: "1.0.0"
config-version: 2
profile: tiny
flags: {send_anonymous_usage_stats: false, require_generic_test_arguments_property: true}
models:
  tiny:
    +query_tag: tiny
    +copy_grants: true
    +persist_docs: {relation: true, columns: true}
"""

SEED = "id,title,price\n1,Emma,3.5\n2,Dracula,\n"

MODELS = {
    "models/books.sql": "select id, title, cast(price as decimal(18, 4)) as price from {{ ref('titles') }}",
    "models/shelf.sql": """
        {{ config(materialized='table', cluster_by=['id'], contract={'enforced': true}) }}
        select id, title, price from {{ ref('books') }}""",
    "models/appended.sql": """
        {{ config(materialized='incremental', incremental_strategy='append',
                  pre_hook="delete from ops.builds where model = 'appended'",
                  post_hook="insert into ops.builds select 'appended', count(*) from {{ this }}") }}
        select seen_at, id from ops.seen
        {% if is_incremental() %} where seen_at > (select max(seen_at) from {{ this }}) {% endif %}""",
    "models/replaced.sql": """
        {{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='id',
                  on_schema_change='fail') }}
        select id, max(seen_at) as seen_at, count(*) as times from ops.seen group by id""",
    "models/merged.sql": """
        {{ config(materialized='incremental', incremental_strategy='merge', unique_key='id') }}
        select id, max(seen_at) as seen_at from ops.seen group by id""",
    "snapshots/history.sql": """
        {% snapshot history %}
        {{ config(unique_key='id', strategy='check', check_cols=['times'], hard_deletes='invalidate') }}
        select id, times from {{ ref('replaced') }} where times < 3
        {% endsnapshot %}""",
    "models/schema.yml": """
        version: 2
        models:
          - name: shelf
            description: "One row per book; it's a shelf."
            columns:
              - {name: id, data_type: integer, description: "The book's id.", data_tests: [unique, not_null]}
              - {name: title, data_type: varchar}
              - {name: price, data_type: "decimal(18, 4)"}
          - name: books
            description: "Books, as a view."
            columns:
              - name: title
                description: "What's on the cover."
                data_tests:
                  - accepted_values: {arguments: {values: [Emma, Dracula]}}
        unit_tests:
          - name: prices_are_exact
            model: books
            given:
              - {input: ref('titles'), rows: [{id: 1, title: Emma, price: 3.5}, {id: 2, title: Dracula, price: null}]}
            expect: {rows: [{id: 1, price: 3.5}, {id: 2, price: null}]}
          - name: what_was_seen_twice_counts_twice
            model: shelf
            given:
              - {input: ref('books'), format: sql, rows: "select 1 as id, 'Emma' as title, cast(2 as decimal(18, 4)) as price"}
            expect: {rows: [{id: 1, title: Emma, price: 2}]}
        """,
    "seeds/titles.csv": SEED,
    "dbt_project.yml": PROJECT,
}

Dbt = Callable[..., dbtRunnerResult]


@pytest.fixture
def dbt(tmp_path: Path, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Dbt:
    """Run a command of dbt in the project; fails if it does."""
    for name, text in MODELS.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(dedent(text))
    output = {"type": "snowflake", "schema": "marts", "threads": 2, **account, "connect_retries": 0}
    output.pop("network_timeout")
    profiles = {"tiny": {"target": "there", "outputs": {"there": output}}}
    (tmp_path / "profiles.yml").write_text(json.dumps(profiles))
    monkeypatch.chdir(tmp_path)

    def run(*command: str) -> dbtRunnerResult:
        result = dbtRunner().invoke(["--quiet", *command, "--profiles-dir", str(tmp_path)])
        assert result.success, result.exception or [(r.node.name, r.message) for r in result.result if r.message]
        return result

    return run


@pytest.mark.slow
def test_a_project_is_built_twice(dbt: Dbt, session: SnowflakeConnection) -> None:
    ask(session, "create table ops.seen (id int, seen_at timestamp_ntz)")
    ask(session, "create table ops.builds (model varchar, n int)")
    ask(session, "insert into ops.seen values (1, '2026-11-20'), (2, '2026-11-20')")
    dbt("build")
    ask(
        session,
        "insert into ops.seen values (1, '2026-11-21'), (2, '2026-11-21'), (2, '2026-11-22'), (3, '2026-11-21')",
    )
    dbt("build")
    ask(session, "use schema marts")
    assert ask(session, "select count(*) from appended") == [(6,)]
    assert ask(session, "select * from ops.builds") == [("appended", 6)]
    assert ask(session, "select id, times from replaced order by id") == [(1, 2), (2, 3), (3, 1)]
    assert ask(session, "select id, day(seen_at) from merged order by id") == [(1, 21), (2, 22), (3, 21)]
    assert ask(session, "select id, times, dbt_valid_to is null from history order by id, times") == [
        (1, 1, False),
        (1, 2, True),
        (2, 1, False),
        (3, 1, True),
    ]
    comments = {row[0]: row[9] for row in ask(session, "describe table shelf")}
    assert (comments["ID"], comments["TITLE"] or "") == ("The book's id.", "")
    assert ask(session, "select comment from information_schema.tables where table_name = 'SHELF'") == [
        ("One row per book; it's a shelf.",)
    ]
    temporary = "select table_name from information_schema.tables where table_name like '%dbt_tmp%'"
    assert ask(session, temporary) == []


@pytest.mark.slow
def test_a_contract_that_is_broken_stops_the_build(dbt: Dbt, tmp_path: Path) -> None:
    dbt("seed")
    model = tmp_path / "models/shelf.sql"
    model.write_text(model.read_text().replace("price from", "cast(price as varchar) as price from"))
    with pytest.raises(AssertionError, match="This model has an enforced"):
        dbt("run", "--select", "books", "shelf")
