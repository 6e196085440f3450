"""Today's attributes can be fetched again, and a dead endpoint is told although there is a snapshot of today."""

import datetime as dt
import gzip
import json

import dagster as dg
import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.run import Refresher
from recsys_platform.hub.layout import attributes_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.simulation.server import running_server
from recsys_platform.simulation.simulate import simulate
from recsys_platform.sources.feed_losses import Feed, note_in_use
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def world(tmp_path):
    """A hub whose snapshot of today is bad: one book of many."""
    hub = FolderHub(tmp_path / "hub")
    simulate(hub, readers=20, books=20, days=1, seed=1, end=TODAY, truth_dir=tmp_path / "truth")
    bad = gzip.compress(json.dumps({"book_id": "b1", "title": "Only one"}).encode())
    hub.put(attributes_key("book_attributes", TODAY), bad)
    return tmp_path


def refresher(world, url: str) -> Refresher:
    named = {"RECSYS_HOME": str(world), "RECSYS_HTTP_ATTEMPTS": "1", **({"RECSYS_BOOKS_URL": url} if url else {})}
    settings = load_settings(named)
    prepare_home(settings)
    from recsys_platform.definitions import build_defs

    parts = {"hub": FolderHub(world / "hub"), "warehouse": DuckDBWarehouse(world / "warehouse.duckdb")}
    defs = build_defs(settings)
    return Refresher(outline_of(defs), lambda: defs, settings, **parts, listener=lambda what, done, total: None)


@pytest.mark.slow  # all definitions
def test_a_bad_snapshot_of_today_is_fetched_again(world):
    with running_server(world / "truth") as url:
        made = refresher(world, f"{url}/books")
        with instance_of(made.settings) as instance:
            assert made.fetch(instance).failures == []
    [books] = made.warehouse.frame("select count(*) as n from raw.book_attributes")["n"].to_pylist()
    assert books > 1


@pytest.mark.slow
def test_a_feed_that_lost_too_much_keeps_no_other_from_being_loaded_and_nothing_is_made_of_them(world):
    made = refresher(world, "")
    made.hub.put(attributes_key("user_attributes", TODAY), gzip.compress(b'{"user_id": "u1"}'))
    note_in_use(made.hub, "user_attributes", Feed("2020-01-01", 1000, {}), who="check", why="")
    with instance_of(made.settings) as instance:
        report = made.run(instance)
    [failure] = report.failures
    assert "nothing_that_is_used_was_lost of raw/user_attributes failed: 1 of 1,000 records are left" in failure
    for table in ("user_attributes", "book_attributes", "engagement_events"):
        assert made.warehouse.frame(f"select count(*) as n from raw.{table}")["n"].to_pylist() != [0]
    schemas = made.warehouse.frame("select distinct table_schema as name from information_schema.tables")
    assert "marts" not in schemas["name"].to_pylist()


@pytest.mark.slow
def test_a_dead_endpoint_fails_the_fetch_and_is_a_warning_of_a_run_with_a_snapshot_of_today(world):
    made = refresher(world, "http://127.0.0.1:9/books")
    with dg.DagsterInstance.ephemeral() as instance:
        assert made._wants_fetch("book_attributes") is False
        [warning] = made.report.warnings
        assert "http://127.0.0.1:9/books did not answer" in warning
        assert warning.endswith("Today's snapshot stays in use.")
        [failure] = made.fetch(instance).failures
    assert "did not answer" in failure
