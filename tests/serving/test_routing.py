"""Visitors are dealt to variants by the file of experiments, the same everywhere, and answered by the variant's model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys_platform.experiments.buckets import BUCKETS, bucket
from recsys_platform.experiments.definitions import ExperimentsError, parse_experiments
from recsys_platform.serving.following import Follower
from recsys_platform.serving.routing import Route, Routing
from tests.support.serving_world import Running, ServingWorld, landed_lines

UNITS = [f"u{number}" for number in range(20_000)]


def experiment(first: float = 50, second: float = 50, **more: Any) -> Any:
    variants = {
        "control": {"model": "production", "weight": first},
        "treatment": {"model": "challenger", "weight": second},
    }
    return {"trial": {"variants": variants, **more}}


def variants_of(content: Any) -> list[str | None]:
    (found,) = parse_experiments(content)
    variants = (found.variant_of(unit) for unit in UNITS)
    return [variant.name if variant else None for variant in variants]


def test_the_bucket_is_the_arithmetic_of_the_contract() -> None:
    digits = hashlib.md5(b"trial:u1", usedforsecurity=False).hexdigest()[:8]
    assert bucket("trial", "u1") == sum(int(digit, 16) * 16 ** (7 - at) for at, digit in enumerate(digits)) % BUCKETS


def test_visitors_are_dealt_by_weight_and_independently_for_each_salt() -> None:
    found = variants_of(experiment(30, 20))
    counts = [found.count(name) for name in ("control", "treatment", None)]
    assert stats.chisquare(counts, [6_000, 4_000, 10_000]).pvalue > 0.001
    other = variants_of(experiment(30, 20, salt="another"))
    table = [
        [sum((a, b) == (x, y) for a, b in zip(found, other, strict=True)) for x in ("control", None)]
        for y in ("control", None)
    ]
    assert stats.chi2_contingency(table).pvalue > 0.001


def owners(*weights: float) -> list[int | None]:
    """The variant of each bucket."""
    variants = {f"v{at}": {"model": "production", "weight": weight} for at, weight in enumerate(weights)}
    (found,) = parse_experiments({"trial": {"variants": variants}})
    owner: list[int | None] = [None] * BUCKETS
    for index, start, end in found.ranges:
        assert set(owner[start:end]) == {None}
        owner[start:end] = [index] * (end - start)
    return owner


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5).filter(lambda weights: sum(weights) <= 100))
def test_each_variant_owns_as_many_buckets_as_its_weight_says_and_shares_none(weights: list[int]) -> None:
    found = owners(*weights)
    assert [found.count(index) for index in range(len(weights))] == [100 * weight for weight in weights]


def moved(before: list[int | None], after: list[int | None]) -> set[tuple[int | None, int | None]]:
    return {(a, b) for a, b in zip(before, after, strict=True) if a != b}


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50))
def test_a_variant_that_grows_takes_only_visitors_from_outside(before: int, after: int, other: int) -> None:
    less, more = sorted((before, after))
    assert moved(owners(less, other), owners(more, other)) <= {(None, 0)}


@given(st.integers(1, 99), st.integers(1, 99))
def test_between_two_variants_no_more_visitors_move_than_must(before: int, after: int) -> None:
    first, second = owners(before, 100 - before), owners(after, 100 - after)
    assert sum(a != b for a, b in zip(first, second, strict=True)) == 100 * abs(before - after)


def test_a_surface_has_at_most_one_experiment() -> None:
    two = experiment(surfaces=["home"]) | {"other": experiment(surfaces=["email"])["trial"]}
    both = parse_experiments(two)
    assert both.assign("u1", "home").experiment == "trial"  # type: ignore[union-attr]
    assert both.assign("u1", "email").experiment == "other"  # type: ignore[union-attr]
    assert both.assign("u1", "search") is None


def planned(**more: Any) -> Any:
    return experiment(plan={"starts_on": "2026-11-02", "days": 14, "primary": {"ctr": 0.02}, **more})


def test_an_experiment_may_say_how_it_is_judged() -> None:
    (found,) = parse_experiments(planned(guardrails={"empty_answers": 0.1}))
    assert found.plan is not None
    assert (found.plan.primary, found.plan.guardrails) == ({"ctr": 0.02}, {"empty_answers": 0.1})
    assert (found.plan.alpha, found.plan.power, str(found.plan.last_day)) == (0.05, 0.8, "2026-11-15")
    (stopped,) = parse_experiments(planned(stopped_on="2026-11-05"))
    assert stopped.plan is not None
    assert str(stopped.plan.last_day) == "2026-11-05"


WRONG = {
    "a plan without a primary metric": (planned(primary={}), "plan.primary: dictionary should have at least 1 item"),
    "an unknown metric": (planned(primary={"fame": 0.1}), "input should be 'ctr', 'clicks'"),
    "a margin of all": (planned(guardrails={"clicks": 1}), "less than 1"),
    "an unknown control": (
        planned(control="old"),
        "the control is old, which is no variant: name one of control, trea",
    ),
    "a metric for both": (planned(guardrails={"ctr": 0.1}), "ctr is both a primary metric and a guardrail"),
    "an end before the start": (planned(stopped_on="2026-11-01"), "stopped on 2026-11-01, before it started"),
    "weights above 100": (experiment(60, 50), "add up to 110 %"),
    "no variants": ({"trial": {}}, "needs `variants`"),
    "a list": ([], "must be a mapping"),
    "a weight of nothing": (experiment(0, 50), "greater than 0"),
    "an unknown name": (experiment(hypothese="x"), "unexpected keyword argument"),
    "a name with blanks": ({"a trial": experiment()["trial"]}, "should match pattern"),
    "a shared surface": (experiment() | {"other": experiment(surfaces=["home"])["trial"]}, "share the surface home"),
    "all surfaces twice": (experiment(surfaces=["home"]) | {"other": experiment()["trial"]}, "share all surfaces"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_in_one_sentence(what: str) -> None:
    content, said = WRONG[what]
    with pytest.raises(ExperimentsError, match=said):
        parse_experiments(content, where="experiments.yaml")


def test_the_last_valid_experiments_stay_when_the_file_breaks() -> None:
    contents = [experiment(), None, experiment(surfaces=["home"])]

    def read() -> Any:
        found = contents.pop(0)
        if found is None:
            raise ExperimentsError("a mistake")
        return parse_experiments(found)

    routing = Routing(read)
    routing.refresh()
    before = routing.route("u1", "search")
    assert before.experiment == "trial"
    routing.refresh()
    assert (routing.route("u1", "search"), routing.error) == (before, "a mistake")
    routing.refresh()
    assert (routing.route("u1", "search"), routing.error) == (Route(), None)


def test_each_visitor_gets_the_model_of_the_variant_and_the_exposure_says_so(
    serving_world: ServingWorld, run_gateway: Any, tmp_path: Path
) -> None:
    versions = serving_world.versions
    variants = {"plain": {"model": versions["ease"], "weight": 50}, "new": {"model": versions["als"], "weight": 50}}
    content = parse_experiments({"trial": {"variants": variants, "surfaces": ["home"]}})
    follower = Follower(serving_world.home, serving_world.registry, Routing(lambda: content))
    api: Running = run_gateway(serving_world, follower=follower)
    models = {"plain": "ease", "new": "als"}
    seen = set()
    for user in ("u01", "u02", "u03", "u04", "u05", "u06"):
        found = api.recommended(user, surface="home")
        assigned = content[0].variant_of(user)
        assert assigned is not None
        assert (found["experiment"], found["variant"], found["model"]) == (
            "trial",
            assigned.name,
            models[assigned.name],
        )
        assert api.recommended(user, surface="search")["experiment"] is None
        seen.add(assigned.name)
    assert seen == {"plain", "new"}
    api.gateway.spool.stop()
    events = [json.loads(line) for line in landed_lines(api.hub)]
    told = {(each["userId"], each["properties"]["surface"]): each["properties"]["variant"] for each in events}
    assert {told[user, "search"] for user in ("u01", "u02")} == {"production"}
    assert told["u01", "home"] in models


def test_a_model_of_an_experiment_that_is_not_there_stops_no_other(
    serving_world: ServingWorld, run_gateway: Any
) -> None:
    variants = {"new": {"model": "999", "weight": 100}}
    content = parse_experiments({"trial": {"variants": variants, "surfaces": ["home"]}})
    follower = Follower(serving_world.home, serving_world.registry, Routing(lambda: content))
    api: Running = run_gateway(serving_world, follower=follower)
    assert api.recommended("u01", surface="search")["source"] == "live"
    found = api.recommended("u01", surface="home")
    assert (found["source"], found["variant"]) == ("published", "new")
    assert "999" in api.client.get("/readyz").json()["detail"]
