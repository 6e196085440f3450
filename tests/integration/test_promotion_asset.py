"""The gate as an asset: what a person does meanwhile, and what its check says."""

from typing import Any

import dagster as dg
import pytest

from recsys_platform.defs.training import assets
from recsys_platform.defs.training.aliases import PROMOTION, moved_aliases
from recsys_platform.recommender.registry.promotion import promote
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.resources import hub_of, registry_of, warehouse_of
from recsys_platform.settings import load_settings


def test_what_a_person_promotes_while_the_gate_is_at_work_stays_and_is_followed(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"RECSYS_HOME": str(world)})
    registry = registry_of(settings)
    live = registry.listed(registry.version_of(PRODUCTION) or "")
    other = next(each for each in registry.versions() if each.recipe_hash != live.recipe_hash)
    train = assets.candidates_of

    def train_while_a_person_promotes(*given: Any) -> dict[str, str]:
        found = train(*given)
        promote(registry, other.version, alias=PRODUCTION, why="a trial", catalogue_hash=other.catalogue_hash)
        return found

    resources = {"hub": hub_of(settings), "registry": registry, "warehouse": warehouse_of(settings)}
    with dg.DagsterInstance.ephemeral() as instance:

        def gate() -> dg.ExecuteInProcessResult:
            return dg.materialize([assets.promotion], instance=instance, resources=resources)

        with monkeypatch.context() as patch:
            patch.setattr(assets, "candidates_of", train_while_a_person_promotes)
            assert gate().success
        assert registry.version_of(PRODUCTION) == other.version
        news = moved_aliases(instance, registry)
        assert news is not None
        assert news.metadata[PRODUCTION].value == other.version
        instance.report_runless_asset_event(news)
        again = gate()
        assert registry.version_of(PRODUCTION) == other.version
        assert moved_aliases(instance, registry) is None
        # The choice withholds every other recipe: those that beat popularity are told all the same.
        check = next(each for each in again.get_asset_check_evaluations() if each.check_name == assets._BETTER)
        measured = assets.measured_on(
            assets.curated.newest_dataset(resources["hub"]).fingerprint(), resources["warehouse"]
        )
        better = measured and assets.better_than_baseline(measured.models, measured, assets.GATE)
        assert check.passed == bool(better)
        assert instance.fetch_materializations(PROMOTION, limit=1).records
