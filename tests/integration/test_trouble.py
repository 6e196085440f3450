"""Bad input ends with one clear sentence and a non-zero exit or a failed check, and never with a half-loaded table."""

import datetime as dt
import gzip
import json

import dagster as dg
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.staleness import failed_blocking, stale_assets
from recsys_platform.defs.ingestion.checks import days_of_run
from recsys_platform.hub.layout import attributes_prefix, landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.snapshots import snapshot_days
from recsys_platform.ingestion.loading import load_events
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.snapshots import read_records
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse


@pytest.fixture
def empty_world(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def one_sentence(said: str) -> str:
    assert "Traceback" not in said
    return said


def test_an_empty_hub_is_named(empty_world, run_recsys):
    code, said = run_recsys("run")
    assert code == 1
    assert one_sentence(said).startswith("error: There are no landing objects in")


def test_a_status_before_the_first_run_says_what_to_do(empty_world, run_recsys):
    code, said = run_recsys("status")
    assert code == 1
    assert "There is no warehouse at" in one_sentence(said)


def test_an_unknown_setting_is_named(empty_world, run_recsys, monkeypatch):
    monkeypatch.setenv("RECSYS_HOEM", "x")
    code, said = run_recsys("run")
    assert code == 1
    assert one_sentence(said).startswith("error: Unknown setting RECSYS_HOEM: did you mean RECSYS_HOME?")


def test_a_home_that_cannot_be_written_is_named(tmp_path, run_recsys, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "file" / "home"))
    code, said = run_recsys("simulate", "--days", "1")
    assert code == 1
    assert "cannot be written" in one_sentence(said)


def test_books_from_nowhere_are_asked_for(empty_world, run_recsys):
    FolderHub(empty_world / "hub").put(
        landing_key("segment", dt.datetime(2026, 11, 20, 5), "a.gz"), gzip.compress(b"{}")
    )
    code, said = run_recsys("run")
    assert code == 1
    assert "RECSYS_BOOKS_URL is not set" in one_sentence(said)


@pytest.mark.slow
def test_an_endpoint_that_is_not_there_stops_the_run_before_anything_is_loaded(empty_world, run_recsys, monkeypatch):
    FolderHub(empty_world / "hub").put(
        landing_key("segment", dt.datetime(2026, 11, 20, 5), "a.gz"), gzip.compress(b"{}")
    )
    monkeypatch.setenv("RECSYS_BOOKS_URL", "http://127.0.0.1:9/books")
    monkeypatch.setenv("RECSYS_HTTP_ATTEMPTS", "1")
    code, said = run_recsys("run")
    assert code == 1
    assert "http://127.0.0.1:9/books did not answer after 1 tries" in one_sentence(said)
    assert DuckDBWarehouse(empty_world / "warehouse.duckdb").ledger("") == {}


@pytest.mark.slow
def test_a_feed_that_lost_a_field_stops_the_run_until_a_person_accepts_it(world, run_recsys):
    hub = FolderHub(world / "hub")
    day = snapshot_days(hub, "book_attributes")[-1]
    [part] = hub.objects(attributes_prefix("book_attributes", day))
    books = list(read_records(hub.get(part.key)))
    crippled = [{name: value for name, value in book.items() if name != "language"} for book in books]
    store_snapshot(hub, "book_attributes", day, crippled)
    before = DuckDBWarehouse(world / "warehouse.duckdb").frame("select count(language) as n from marts.dim_books")
    for _ in range(2):  # trying again is no way around it
        code, said = run_recsys("run")
        assert code == 1
        assert "nothing_that_is_used_was_lost of raw/book_attributes failed: 0% of the records have language" in said
        assert "`recsys accept-snapshot book_attributes`" in said
    after = DuckDBWarehouse(world / "warehouse.duckdb").frame("select count(language) as n from marts.dim_books")
    assert after == before
    assert "there is nothing to accept" in run_recsys("accept-snapshot", "user_attributes")[1]
    code, said = run_recsys("accept-snapshot", "book_attributes", "--reason", "no languages any more")
    assert (code, "is accepted though 0% of the records have language" in said) == (0, True)
    settings = load_settings({"RECSYS_HOME": str(world)})
    with instance_of(settings) as instance:
        outline = outline_of(build_defs(settings))
        assert failed_blocking(outline, instance) == {}
        assert dg.AssetKey(["marts", "dim_books"]) in stale_assets(outline, instance, outline.made_in_every_run)
    noted = json.loads(hub.get("in_use/book_attributes.json"))
    assert (noted["why"], noted["having"]["language"]) == ("no languages any more", 0)


@pytest.mark.slow
def test_a_warehouse_held_by_another_process_is_named(world, run_recsys):
    import subprocess
    import sys

    path = str(world / "warehouse.duckdb")
    hold = f"import duckdb, sys; con = duckdb.connect({path!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        code, said = run_recsys("run")
        other.stdin.close()
    assert code == 1
    assert "is held by another process" in one_sentence(said)


@pytest.mark.slow
def test_what_was_loaded_by_a_run_that_died_is_built_by_the_next(world, run_recsys):
    """Killed after the load was committed and before Dagster heard of it: the ledger knows, the event log does not."""
    hub, warehouse = FolderHub(world / "hub"), DuckDBWarehouse(world / "warehouse.duckdb")
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    said = b'"messageId":"late","timestamp":"%s","userId":"u0000001","properties":{"query":"q"}'
    record = b'{"type":"track","event":"Books Searched",' + said + b"}"
    key = landing_key("segment", now, "z.gz")
    hub.put(key, gzip.compress(record % now.isoformat().encode()))
    load_events(hub, warehouse, [item for item in hub.objects("engagement_events/") if item.key == key])
    code, said = run_recsys("run")
    assert code == 0, said
    assert warehouse.frame("from marts.fct_events where event_id = 'late'").num_rows == 1


def test_a_killed_run_gives_its_slot_back(tmp_path):
    import subprocess
    import sys

    import dagster as dg

    from recsys_platform.config.factories import prepare_home
    from recsys_platform.config.settings import load_settings
    from recsys_platform.defs.automation.dead_runs import fail_dead_runs
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.automation.load_requests import REFRESH
    from recsys_platform.defs.pools import PROCESS, WAREHOUSE_WRITER

    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    prepare_home(settings)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with instance_of(settings) as instance:
        run = dg.DagsterRun(
            job_name=REFRESH, status=dg.DagsterRunStatus.STARTED, tags={PROCESS: dead.stdout.decode().strip()}
        )
        instance.add_run(run)
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default(WAREHOUSE_WRITER)
        storage.claim_concurrency_slot(WAREHOUSE_WRITER, run.run_id, "step")
        fail_dead_runs(instance)
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
        assert storage.get_concurrency_info(WAREHOUSE_WRITER).active_slot_count == 0


def test_an_error_may_hold_brackets(empty_world, run_recsys, monkeypatch):
    monkeypatch.setenv("RECSYS_LIST_LENGTH", "[/b]")
    code, said = run_recsys("run")
    assert code == 1
    assert "RECSYS_LIST_LENGTH='[/b]' is not valid" in one_sentence(said)


def test_rejected_records_of_a_world_without_a_warehouse_are_asked_for_in_vain(empty_world, run_recsys):
    for command in ("rejected", "revalidate"):
        code, said = run_recsys(command)
        assert code == 1
        assert "There is no warehouse at" in one_sentence(said)


def test_checks_look_at_the_days_of_their_run_and_without_days_at_all_of_them():
    first, last = dt.date(2026, 11, 1), dt.date(2026, 11, 3)
    stretch = {"dagster/asset_partition_range_start": f"{first}", "dagster/asset_partition_range_end": f"{last}"}
    assert days_of_run(stretch) == (first, last)
    assert days_of_run({"dagster/partition": f"{first}"}) == (first, first)
    assert days_of_run({}) is None
