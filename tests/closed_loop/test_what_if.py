"""What might have been: an experiment of equal models plants nothing, one of different models plants what its lists are worth."""

from pathlib import Path

import pytest

from recsys_platform.closed_loop.experiment import CONTROL, TREATMENT
from recsys_platform.closed_loop.what_if import expected_by_variant, planted_lifts, visit_with_variant
from recsys_platform.config.factories import hub_of, registry_of
from recsys_platform.config.settings import Settings
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visit_truth import load_visits
from recsys_platform.simulation.world import make_world
from tests.support.visited_world import make_visited_world

DAYS = range(1, 2)


def lifts_of(settings: Settings) -> dict[str, float]:
    spec, _ = load_spec(settings.truth_root)
    for variant in (CONTROL, TREATMENT):
        visit_with_variant(settings, variant, DAYS, since=1, horizon=2)
    return planted_lifts(expected_by_variant(settings, make_world(spec, days=2)))


@pytest.mark.slow
@pytest.mark.parametrize("is_equal", [True, False])
def test_equal_models_plant_nothing_and_others_something(tmp_path: Path, *, is_equal: bool) -> None:
    settings, _, _ = make_visited_world(tmp_path, readers=40, books=40, seed=3)
    registry = registry_of(settings)
    if is_equal:
        registry.set_alias(CHALLENGER, registry.version_of(PRODUCTION), why="a test")
    lifts = lifts_of(settings)
    assert (lifts == {"ctr": 0, "finishes": 0}) is is_equal, lifts
    shown = [load_visits(settings.truth_root / "what_if" / variant) for variant in (CONTROL, TREATMENT)]
    assert shown[0]["reader"].unique().to_pylist() == shown[1]["reader"].unique().to_pylist(), "the same readers"
    assert load_visits(settings.truth_root).num_rows == 0, "nobody was really shown anything"
    assert not list(hub_of(settings).objects("engagement_events/"))
    assert lifts_of(settings) == lifts, "what is done is not done again"
