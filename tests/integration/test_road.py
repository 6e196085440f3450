"""The whole road on a small world: what is published, what a second run does, what a second day does."""

import hashlib
import json
import os
import subprocess

import pytest

from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

pytestmark = pytest.mark.slow


def query(home, sql):
    (rows,) = answers(home, sql)
    return rows


def answers(home, *statements):
    """The rows of each statement."""
    with DuckDBWarehouse(home / "warehouse.duckdb").connect() as con:
        return [con.execute(sql).fetchall() for sql in statements]


def fingerprints(home):
    """A hash of the rows of every table and published view."""
    names = query(
        home,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema in ('raw', 'staging', 'intermediate', 'marts', 'published', 'ops') order by 1",
    )
    found = answers(home, *(f"select md5(t::varchar) as h from {name} as t order by 1" for (name,) in names))
    return {
        name: hashlib.sha256(json.dumps(rows).encode()).hexdigest() for (name,), rows in zip(names, found, strict=True)
    }


def test_every_record_is_accounted_for(world):
    assert query(world, "select count(*) from ops.load_ledger where records <> accepted + rejected") == [(0,)]
    (accepted,) = query(world, "select sum(accepted)::bigint from ops.load_ledger where object_key like 'engagement%'")
    (parts,) = query(
        world, "select sum(distinct_events + duplicates + invalid)::bigint from marts.rpt_event_conservation"
    )
    assert accepted == parts
    assert accepted > (1000,)


def test_every_reader_has_lists_without_finished_or_unavailable_books(world):
    ((readers,),) = query(world, "select count(*) from marts.dim_users")
    by_model = query(world, "select model, count(distinct user_id) from published.user_recommendations group by model")
    assert {count for _, count in by_model} == {readers}
    assert "popularity" in dict(by_model)
    lists = "select count(*) from published.user_recommendations semi join "
    finished = lists + "(from marts.fct_interactions where is_finished) using (user_id, book_id)"
    unavailable = lists + "(from marts.dim_books where not is_available) using (book_id)"
    assert (query(world, finished), query(world, unavailable)) == ([(0,)], [(0,)])


def test_readers_without_history_get_what_is_popular(world):
    cold = """select count(*), count(*) filter (reason not like 'popular%') from published.user_recommendations
        where user_id in (
            select user_id from marts.dim_users anti join (from marts.fct_interactions where is_positive) using (user_id))"""
    ((lists, odd),) = query(world, cold)
    assert lists > 0
    assert odd == 0


def test_no_email_and_no_address_passes_raw(world):
    tables = query(
        world,
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema in ('staging', 'intermediate', 'marts', 'published', 'ops')",
    )
    leaks = "select count(*) from {} as t where t::varchar like '%@readers.example%' or t::varchar like '%198.51.%'"
    found = answers(world, *(leaks.format(name) for (name,) in tables))
    assert {name for (name,), rows in zip(tables, found, strict=True) if rows != [(0,)]} == set()
    assert query(
        world, "select count(*) > 0 from raw.user_attributes where record::varchar like '%@readers.example%'"
    ) == [(True,)]


def test_the_page_of_the_evaluation_is_in_the_hub(world):
    page = (world / "hub" / "reports" / "evaluation.html").read_text(encoding="utf-8")
    assert "NDCG by history" in page
    assert "<script" not in page


def test_the_published_tables_pass_their_dbt_tests(world):
    from recsys_platform.transform.dbt import OUR_DBT, ROOT

    paths = {"DBT_TARGET_PATH": str(world / "dbt"), "DBT_LOG_PATH": str(world / "dbt")}
    command = [OUR_DBT, "test", "--selector", "published"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "ERROR=0" in done.stdout


def test_running_again_without_news_changes_no_table_and_says_so(world, run_recsys):
    before = fingerprints(world)
    code, said = run_recsys("run")
    assert code == 0
    assert "Nothing new: 0 objects loaded, no table changed" in said
    assert fingerprints(world) == before


def test_rebuilding_everything_without_news_gives_the_same_tables(world, run_recsys):
    before = fingerprints(world)
    code, said = run_recsys("run", "--all")
    assert code == 0, said
    after = fingerprints(world)
    tell_of_runs = {"ops.model_evaluations", "ops.model_differences", "ops.cost_of_runs"}
    costs = {"marts.fct_costs", "marts.rpt_cost_daily"}
    assert {name for name in before if before[name] != after.get(name)} <= tell_of_runs | costs


def test_the_status_is_one_screen_of_figures(world, run_recsys):
    code, said = run_recsys("status")
    assert code == 0
    for part in ("landed", "accepted", "rejected", "quality", "live", "published", "new_landing_objects: off"):
        assert part in said
