"""A loader that is killed loses nothing and repeats nothing; of two at once one waits."""

import random
import subprocess
import sys
import time

import pytest

from recsys_platform.common.errors import WarehouseError
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.reconciliation import account
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.loader_process import start_loader
from tests.support.loaders import begin, kill_at_work, land_many

KILLS = 50
STATE = (
    "select object_key, etag, size_bytes, records, accepted, rejected from ops.load_ledger order by 1",
    "select source, object_key, record_index, landed_at, record from raw.engagement_events order by 2, 3",
    "select source, object_key, record_index, landed_at, payload, reason from raw.rejected_records order by 2, 3",
)


def state(warehouse: DuckDBWarehouse) -> list[list[tuple[object, ...]]]:
    with warehouse.connect() as con:
        return [con.execute(sql).fetchall() for sql in STATE]


@pytest.mark.slow
def test_a_loader_killed_fifty_times_ends_with_what_an_undisturbed_one_has(tmp_path, hub, warehouse, land, view):
    land_many(land, view, 600)
    chance, progress = random.Random(7), []
    waiting = [start_loader(tmp_path, 1), start_loader(tmp_path, 1)]  # the next one starts up while this one works
    for _ in range(KILLS):
        kill_at_work(waiting.pop(0), chance)
        progress.append(len(warehouse.ledger("engagement_events/")))
        waiting.append(start_loader(tmp_path, 1))
    for process in waiting:
        begin(process)
        process.communicate()
    undisturbed = DuckDBWarehouse(tmp_path / "undisturbed.duckdb")
    undisturbed.prepare()
    load_events(hub, undisturbed, hub.objects("engagement_events/"))
    assert progress == sorted(progress)
    assert len(set(progress) - {0, 600}) >= KILLS / 2, "the kills did not fall into the work"
    assert state(warehouse) == state(undisturbed)
    assert account(warehouse).broken == ()


@pytest.mark.slow  # two processes of the loader
def test_two_loaders_at_once_both_end_well_and_load_each_object_once(tmp_path, hub, warehouse, land, view):
    land_many(land, view, 60)
    both = [start_loader(tmp_path, 5) for _ in range(2)]
    for process in both:
        begin(process)
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(int(text.split()[-1]) for text in said) == 60
    assert account(warehouse).objects == 60
    assert account(warehouse).broken == ()


def test_a_loader_that_waited_long_enough_says_who_holds_the_warehouse(tmp_path, hub, warehouse, land, view):
    land("a.gz", view("m1"))
    hold = f"import duckdb, sys; con = duckdb.connect({str(warehouse.path)!r}); print('held', flush=True); sys.stdin.read()"
    impatient = DuckDBWarehouse(warehouse.path, lock_wait=0.5)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", hold], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout.readline() == "held\n"
        started = time.monotonic()
        with pytest.raises(WarehouseError, match="is held by another process: wait for the running job or close"):
            load_events(hub, impatient, hub.objects("engagement_events/"))
        assert time.monotonic() - started > 0.3
        other.stdin.close()
    assert load_events(hub, impatient, hub.objects("engagement_events/")).objects == 1
