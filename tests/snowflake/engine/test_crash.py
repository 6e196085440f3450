"""A loader that is killed between stage, COPY and ledger loses nothing and repeats nothing."""

import random
from pathlib import Path

import pytest

from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.reconciliation import account
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.loaders import begin, kill_at_work, land_many
from tests.support.snowflake.loader_process import start_loader
from tests.support.snowflake.loads import OBJECTS, state

KILLS, COUNT = 20, 100


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_loader_killed_twenty_times_ends_with_what_an_undisturbed_one_has(
    hub: Hub, warehouse: SnowflakeWarehouse, variables: dict[str, str], land, view, tmp_path: Path
) -> None:
    land_many(land, view, COUNT)
    chance, progress = random.Random(7), []
    waiting = [start_loader(variables, 1), start_loader(variables, 1)]  # the next one starts up while this one works
    for _ in range(KILLS):
        kill_at_work(waiting.pop(0), chance, objects=3, seconds=0.4)
        progress.append(len(warehouse.ledger(OBJECTS)))
        waiting.append(start_loader(variables, 1))
    for process in waiting:
        begin(process)
        process.communicate()
    undisturbed = DuckDBWarehouse(tmp_path / "undisturbed.duckdb")
    undisturbed.prepare()
    load_events(hub, undisturbed, hub.objects(OBJECTS))
    assert progress == sorted(progress)
    assert len(set(progress) - {0, COUNT}) >= KILLS / 2, "the kills did not fall into the work"
    assert state(warehouse) == state(undisturbed)
    assert account(warehouse).broken == ()


@pytest.mark.slow
def test_two_loaders_at_once_both_end_well_and_load_each_object_once(
    hub: Hub, warehouse: SnowflakeWarehouse, variables: dict[str, str], land, view
) -> None:
    land_many(land, view, 12)
    both = [start_loader(variables, 2) for _ in range(2)]
    for process in both:
        begin(process)
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(int(text.split()[-1]) for text in said) == 12
    assert account(warehouse).objects == 12
    assert account(warehouse).broken == ()
