"""The gate as an asset: what a person does meanwhile, and what its check says."""

from typing import Any

import dagster as dg
import pytest

from recsys_platform.config.factories import hub_of, registry_of, variants_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.training import assets
from recsys_platform.defs.training.aliases import moved_aliases
from recsys_platform.recommender.registry.gate import Decision
from recsys_platform.recommender.registry.promotion import GateOutcome, promote
from recsys_platform.recommender.registry.versions import PRODUCTION
from tests.support.figures import Figures


@pytest.mark.slow
def test_what_a_person_promotes_while_the_gate_is_at_work_stays_and_is_followed(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"RECSYS_HOME": str(world)})
    registry = registry_of(settings)
    live = registry.info(registry.version_of(PRODUCTION) or "")
    other = next(each for each in registry.versions() if each.recipe_hash != live.recipe_hash)
    train = assets.candidate_versions

    def train_while_a_person_promotes(*given: Any) -> dict[str, str]:
        found = train(*given)
        books = other.catalogue_hash
        promote(registry, other.version, alias=PRODUCTION, why="", catalogue_hash=books, data_to="2100-01-01")
        return found

    variants = variants_of(settings)
    resources = {
        "hub": hub_of(settings),
        "registry": registry,
        "warehouse": warehouse_of(settings),
        "variants": variants,
        "settings": settings,
    }
    promotion = assets.promotion_asset(variants)
    with dg.DagsterInstance.ephemeral() as instance:

        def gate() -> dg.ExecuteInProcessResult:
            return dg.materialize([promotion], instance=instance, resources=resources)

        with monkeypatch.context() as patch:
            patch.setattr(assets, "candidate_versions", train_while_a_person_promotes)
            assert gate().success
        assert registry.version_of(PRODUCTION) == other.version
        news = moved_aliases(instance, registry)
        assert news is not None
        assert news.metadata[PRODUCTION].value == other.version
        instance.report_runless_asset_event(news)
        assert gate().success
        assert registry.version_of(PRODUCTION) == other.version
        assert moved_aliases(instance, registry) is None


@pytest.mark.parametrize(("ease", "said"), [(0.2, "Better than popularity: ease"), (0.1, "No recipe beats popularity")])
def test_what_beats_popularity_is_told_also_where_a_persons_choice_withholds_it(ease: float, said: str) -> None:
    measured: Any = Figures({"popularity": 0.1, "ease": ease})
    withheld = tuple(Decision(name, promote=False, reasons=("It stays.",)) for name in ("popularity", "ease"))
    found = assets._is_better(GateOutcome(withheld, "1", None), measured)
    assert (found.passed, found.description) == (ease > 0.1, said)
