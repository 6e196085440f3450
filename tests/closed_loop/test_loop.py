"""The loop on a tiny world, as far as the second act: readers use the API over HTTP, and what they did is what models learn from."""

import os
from pathlib import Path

import pytest

from recsys_platform.closed_loop import driver
from recsys_platform.closed_loop.driver import run_loop, steps_of
from recsys_platform.closed_loop.loop_world import LoopWorld
from recsys_platform.closed_loop.plan import HISTORY_DAYS, LoopRecord, load_record, plan_until_yesterday
from recsys_platform.config.factories import hub_of, prepare_home, warehouse_of
from recsys_platform.config.settings import PREFIX, load_settings
from recsys_platform.recommender.data.training_data import latest_dataset
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visit_truth import load_visits


@pytest.mark.slow  # two builds of all marts, and a gateway in a process of its own, are what is tested together
def test_lightfm_follows_popularity_and_learns_from_what_readers_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in os.environ if each.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    prepare_home(settings)
    record = LoopRecord(plan_until_yesterday(readers=60, books=40, seed=1, weeks=1))
    first_steps = list(steps_of(record))[:4]
    assert first_steps[-1].name == "LightFM, week 1: models"
    monkeypatch.setattr(driver, "steps_of", lambda _: iter(first_steps))
    world = LoopWorld(settings, record.plan, lambda *_: None)
    run_loop(world, record)

    assert load_record(settings.truth_root) == record
    assert load_spec(settings.truth_root)[1] == HISTORY_DAYS + 7
    shown = load_visits(settings.truth_root)
    counts = warehouse_of(settings).frame(
        "select count(*) as shown, sum(case when is_clicked then 1 else 0 end) as clicked from marts.fct_exposures"
    )
    clicked = sum(shown["is_clicked"].to_pylist())
    assert counts.to_pylist() == [{"shown": len(shown), "clicked": clicked}]
    assert clicked > 10
    changes = [(each.before, each.after) for each in world.registry.history() if each.alias == PRODUCTION]
    assert world.variant_of(PRODUCTION) == "lightfm", changes
    visited = world.plan.day(HISTORY_DAYS)
    assert latest_dataset(hub_of(settings)).newest_time[:10] >= str(visited), "it learned from the visits"
    run_loop(world, record)
    assert len(load_visits(settings.truth_root)) == len(shown), "nothing is done twice"
