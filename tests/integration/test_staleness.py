"""What makes an asset old: a parent, its own recipe or rules, an alias that somebody moved."""

import datetime as dt

import dagster as dg
import numpy as np
import pytest

from recsys_platform.defs.automation.conditions import ON_CHANGE
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.staleness import stale_assets
from recsys_platform.defs.training.aliases import ALIASES_KEY, PROMOTION, moved_aliases
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.lists.publication import rules_version
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION
from recsys_platform.recommender.training.candidates import recipes_version
from recsys_platform.recommender.training.variants import load_variants


def road(version: str | None) -> dg.Definitions:
    """An evaluation of some code version and what is published of it."""

    @dg.asset(code_version=version, automation_condition=ON_CHANGE)
    def evaluated() -> None: ...

    @dg.asset(deps=[evaluated], automation_condition=ON_CHANGE)
    def published() -> None: ...

    @dg.asset
    def other() -> None: ...

    return dg.Definitions(assets=[evaluated, published, other])


def stale(defs, instance):
    outline = outline_of(defs)
    return [key.to_user_string() for key in stale_assets(outline, instance, [asset.key for asset in outline.assets])]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_what_was_made_by_another_recipe_is_old_and_all_that_is_made_of_it(instance):
    before, after = road("one"), road("two")
    dg.materialize(list(before.assets), instance=instance)
    assert stale(before, instance) == []
    assert stale(after, instance) == ["evaluated", "published"]
    dg.materialize(list(after.assets), instance=instance)
    assert stale(after, instance) == []


def test_what_was_made_before_recipes_were_noted_is_old_once(instance):
    dg.materialize(list(road(None).assets), instance=instance)
    assert stale(road(None), instance) == []
    assert stale(road("one"), instance) == ["evaluated", "published"]


def test_the_conditions_ask_once_for_what_another_recipe_changes(instance):
    before, after = road("one"), road("two")
    dg.materialize(list(before.assets), instance=instance)
    cursor = dg.evaluate_automation_conditions(before, instance).cursor
    asked = []
    for _ in range(4):
        found = dg.evaluate_automation_conditions(after, instance, cursor=cursor)
        asked.append({each.key.to_user_string() for each in found.results if each.true_subset.size})
        cursor = found.cursor
        if len(asked) == 1:
            dg.materialize(list(after.assets), selection=["evaluated", "published"], instance=instance)
    assert asked[0] == {"evaluated", "published"}
    assert not any("evaluated" in each for each in asked[1:])
    assert asked[-1] == set()


def changed(tmp_path, text):
    path = tmp_path / "variants.yaml"
    path.write_text(text, encoding="utf-8")
    return load_variants(path)


@pytest.mark.parametrize(
    ("text", "evaluation", "ease"),
    [
        ("ease: {}\nals: {}\nblend: {components: [als, ease]}", False, False),
        ("# a comment\nals: {}\nease:\n\nblend:\n  components: [als, ease]\n", False, False),
        ("ease: {}\nals: {}\nblend: {components: [als, ease]}\nmine: {model: ease, regularization: 30}", True, False),
        ("ease: {}\nals: {components: 8}\nblend: {components: [als, ease]}", True, False),
        ("ease: {regularization: 30}\nals: {}\nblend: {components: [als, ease]}", True, True),
        ("ease: {}\nals: {}", True, False),
        ("popularity: {half_life_days: 3}\nease: {}\nals: {}\nblend: {components: [als, ease]}", True, True),
    ],
)
def test_the_evaluation_is_of_all_recipes_and_a_model_of_its_own_and_the_fallback_s(tmp_path, text, evaluation, ease):
    first = changed(tmp_path, "ease: {}\nals: {}\nblend: {components: [als, ease]}")
    second = changed(tmp_path, text)
    assert (recipes_version(first) != recipes_version(second)) == evaluation
    names = ("ease", "popularity")
    assert (recipes_version(first, *names) != recipes_version(second, *names)) == ease


@pytest.mark.parametrize(
    ("rules", "is_other"),
    [
        ({}, False),
        ({"rules": {"finished": True}}, False),
        ({"exploration": {"slots": [5]}}, False),
        ({"rules": {"finished": False}}, True),
        ({"exclude": ["b1"]}, True),
        ({"reranking": {"diversity": 0.2}}, True),
    ],
)
def test_lists_follow_from_all_rules_but_those_of_live_answers(rules, is_other):
    assert (rules_version(parse_list_rules(rules), 20) != rules_version(parse_list_rules({}), 20)) == is_other
    assert rules_version(parse_list_rules(rules), 20) != rules_version(parse_list_rules(rules), 10)


def test_an_alias_that_somebody_moved_is_noted_once_and_one_that_the_gate_moved_is_not(
    instance, new_registry, tmp_path
):
    registry = new_registry(tmp_path / "models")
    assert moved_aliases(instance, registry) is None
    facts = Provenance(dt.datetime(2026, 1, 1), "monday", "0.1")
    one, two = (registry.log(name, {"a": np.array([1])}, facts) for name in ("lightfm", "blend"))
    registry.set_alias(PRODUCTION, one, why="", who="gate")
    said = {"production": one, "challenger": "none", "chosen": "by the gate"}
    instance.report_runless_asset_event(dg.AssetMaterialization(PROMOTION, metadata=said))
    assert moved_aliases(instance, registry) is None
    for alias, version in ((PRODUCTION, two), (CHALLENGER, one), (CHALLENGER, None), (PRODUCTION, one)):
        registry.set_alias(alias, version, why="a person")
        noted = moved_aliases(instance, registry)
        assert noted is not None
        assert noted.asset_key == ALIASES_KEY
        instance.report_runless_asset_event(noted)
        assert moved_aliases(instance, registry) is None
