"""What the gate lets through, from figures made by hand, and what follows for the aliases."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.lists.roles import model_roles
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.gate import GateParams, decide
from recsys_platform.recommender.registry.promotion import GateOutcome, apply_gate, choice_in_force, promote, roll_back
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Choice, Registry
from tests.support.figures import Figures

PARAMS = GateParams()


def test_what_beats_popularity_and_what_is_live_may_go_live() -> None:
    found = decide("blend", "lightfm", Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.25}), PARAMS)
    assert found.promote
    assert found.reasons == ("NDCG of blend is +0.0500 (+0.0400 to +0.0600) against lightfm, on 1,000 readers.",)


def test_what_is_not_significantly_better_than_what_is_live_is_refused() -> None:
    found = decide("blend", "lightfm", Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.205}), PARAMS)
    assert not found.promote
    assert found.reasons == (
        "NDCG of blend is +0.0050 (-0.0050 to +0.0150) against lightfm, on 1,000 readers: not significantly better.",
    )


def test_what_is_not_better_than_popularity_is_refused_even_if_nothing_is_live() -> None:
    figures = Figures({"popularity": 0.1, "ease": 0.1})
    assert not decide("ease", None, figures, PARAMS).promote
    assert decide("popularity", None, figures, PARAMS).promote


def test_what_is_clearly_worse_in_a_segment_is_refused_by_name() -> None:
    figures = Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.3}, worse={("blend", "1-4"): -0.03})
    found = decide("blend", "lightfm", figures, PARAMS)
    assert found.reasons == (
        "NDCG of blend is -0.0300 (-0.0400 to -0.0200) against lightfm in segment 1-4, on 1,000 readers: more than 5% worse.",
    )


def test_a_segment_may_fall_behind_within_the_margin_and_is_not_judged_on_few_readers() -> None:
    ndcg = {"popularity": 0.1, "lightfm": 0.2, "blend": 0.3}
    assert decide("blend", "lightfm", Figures(ndcg, worse={("blend", "1-4"): -0.018}), PARAMS).promote
    few = decide("blend", "lightfm", Figures(ndcg, worse={("blend", "1-4"): -0.1}, users=49), PARAMS)
    assert few.promote
    assert few.skipped_segments == ("1-4",)


def test_the_live_recipe_on_newer_data_need_only_beat_popularity() -> None:
    figures = Figures({"popularity": 0.1, "lightfm": 0.2})
    assert decide("lightfm", "lightfm", figures, PARAMS).promote
    assert not decide("lightfm", "lightfm", Figures({"popularity": 0.1, "lightfm": 0.1}), PARAMS).promote


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.0001, 0.2),
    st.sampled_from([None, "live", "popularity"]),
)
def test_nothing_goes_live_that_is_not_significantly_above_popularity(
    popular: float, live: float, candidate: float, spread: float, incumbent: str | None
) -> None:
    figures = Figures({"popularity": popular, "live": live, "new": candidate}, spread)
    found = decide("new", incumbent, figures, PARAMS)
    assert found.reasons
    assert all("\n" not in reason for reason in found.reasons)
    if found.promote:
        assert candidate - spread > popular
        assert incumbent is None or candidate - spread > figures.ndcg[incumbent]


@pytest.fixture
def registry(new_registry: Callable[[Path], Registry], tmp_path: Path) -> Registry:
    return new_registry(tmp_path / "models")


def trained(registry: Registry, data: str = "monday", **recipes: int) -> dict[str, str]:
    """Versions of variants on some data: the number stands for the recipe."""
    return {
        name: registry.log(
            name,
            {"a": np.array([1])},
            Provenance(dt.datetime(2026, 1, 1), data, "0.1", params={"recipe": recipe}, catalogue_hash="books"),
        )
        for name, recipe in recipes.items()
    }


def judged(registry: Registry, candidates: Mapping[str, str], live: str | None, **ndcg: float) -> GateOutcome:
    return apply_gate(candidates, live, Figures(ndcg), registry, PARAMS)


def test_the_best_goes_live_the_next_best_becomes_the_challenger(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    done = judged(registry, versions, None, popularity=0.1, lightfm=0.2, blend=0.3)
    assert (done.production, done.challenger) == (versions["blend"], versions["lightfm"])


def test_an_over_fitted_model_is_refused_a_better_one_goes_live_and_one_command_goes_back(registry: Registry) -> None:
    first = trained(registry, popularity=0, lightfm=1)
    judged(registry, first, None, popularity=0.1, lightfm=0.2)
    over_fitted = trained(registry, "tuesday", popularity=0, lightfm=1, wide=64)
    done = judged(registry, over_fitted, "lightfm", popularity=0.1, lightfm=0.2, wide=0.15)
    assert registry.version_of(PRODUCTION) == over_fitted["lightfm"]  # the live recipe on newer data
    assert [each.candidate for each in done.decisions if not each.promote] == ["popularity", "wide"]
    better = trained(registry, "wednesday", popularity=0, lightfm=1, blend=2)
    assert judged(registry, better, "lightfm", popularity=0.1, lightfm=0.2, blend=0.3).production == better["blend"]
    before, after = roll_back(registry, why="readers complained")
    assert (before.version, after.version) == (better["blend"], better["lightfm"])
    assert registry.history()[0].why == "readers complained"


def test_by_canary_the_winner_becomes_the_challenger_and_the_live_recipe_stays_on_newer_data(
    registry: Registry,
) -> None:
    first = trained(registry, popularity=0, lightfm=1)
    judged(registry, first, None, popularity=0.1, lightfm=0.2)
    newer = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2)
    figures = Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.3})
    done = apply_gate(newer, "lightfm", figures, registry, PARAMS, by_canary=True)
    assert (done.production, done.challenger) == (newer["lightfm"], newer["blend"])
    assert done.winner
    assert (done.winner.candidate, done.winner.promote) == ("blend", True)
    assert registry.history()[0].why == done.winner.reasons[0]
    at_once = apply_gate(newer, "lightfm", figures, registry, PARAMS)
    assert (at_once.production, at_once.winner) == (newer["blend"], None)


def test_by_canary_what_cannot_wait_goes_live_at_once(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    figures = Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.3})
    first = apply_gate(versions, None, figures, registry, PARAMS, by_canary=True)
    assert (first.production, first.winner) == (versions["blend"], None)  # there is nothing to compare with
    worse = Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.05})
    done = apply_gate(versions, "blend", worse, registry, PARAMS, by_canary=True)
    assert (done.production, done.winner) == (versions["lightfm"], None)  # the live recipe cannot stay


def test_what_a_person_rolled_back_stays_out_until_a_person_brings_it_back(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1)
    judged(registry, versions, None, popularity=0.1, lightfm=0.2)
    both = versions | trained(registry, blend=2)
    judged(registry, both, "lightfm", popularity=0.1, lightfm=0.2, blend=0.3)
    roll_back(registry, why="")
    again = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2)
    done = judged(registry, again, "lightfm", popularity=0.1, lightfm=0.2, blend=0.3)
    assert done.production == again["lightfm"]
    assert done.challenger is None
    promote(registry, both["blend"], alias=PRODUCTION, why="it was not the model", catalogue_hash="books")
    assert registry.version_of(PRODUCTION) == both["blend"]
    assert judged(registry, again, "blend", popularity=0.1, lightfm=0.2, blend=0.3).production == again["blend"]


def test_where_nothing_was_measured_popularity_begins_and_follows_the_data(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1)
    done = apply_gate(versions, None, None, registry, PARAMS)
    assert (done.production, done.unmeasured) == (versions["popularity"], True)
    newer = trained(registry, "tuesday", popularity=0, lightfm=1)
    assert apply_gate(newer, "popularity", None, registry, PARAMS).production == newer["popularity"]


@pytest.mark.parametrize(
    ("lightfm", "reason"),
    [
        (0.103, "+0.0030 (-0.0070 to +0.0130) against popularity, on 1,000 readers: not significantly better."),
        (0.098, "-0.0020 (-0.0120 to +0.0080) against popularity, on 1,000 readers: not significantly better."),
    ],
)
def test_what_is_live_and_no_longer_keeps_ahead_gives_way_to_popularity(
    registry: Registry, lightfm: float, reason: str
) -> None:
    judged(registry, trained(registry, popularity=0, lightfm=1), None, popularity=0.1, lightfm=0.2)
    newer = trained(registry, "tuesday", popularity=0, lightfm=1)
    done = judged(registry, newer, "lightfm", popularity=0.1, lightfm=lightfm)
    assert {each.candidate: each.promote for each in done.decisions} == {"popularity": True, "lightfm": False}
    assert done.production == newer["popularity"]
    assert registry.history()[0].why == f"lightfm is replaced. NDCG of lightfm is {reason}"


@pytest.mark.parametrize("lightfm", [0.105, 0.109])
def test_what_is_live_stays_while_it_is_ahead_by_the_margin_whatever_chance_may_explain(
    registry: Registry, lightfm: float
) -> None:
    judged(registry, trained(registry, popularity=0, lightfm=1), None, popularity=0.1, lightfm=0.2)
    newer = trained(registry, "tuesday", popularity=0, lightfm=1)
    done = judged(registry, newer, "lightfm", popularity=0.1, lightfm=lightfm)
    assert done.production == newer["lightfm"]
    told = next(each.reasons for each in done.decisions if each.candidate == "lightfm")
    assert told[0].endswith("Not significantly better, but the live model stays while it is 5% ahead.")
    assert not decide("lightfm", None, Figures({"popularity": 0.1, "lightfm": lightfm}), PARAMS).promote


def test_where_what_is_live_gives_way_the_best_that_beats_popularity_takes_its_place(registry: Registry) -> None:
    """Though it is not significantly better than what was live."""
    judged(registry, trained(registry, popularity=0, lightfm=1), None, popularity=0.1, lightfm=0.2)
    newer = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2, ease=3)
    done = judged(registry, newer, "lightfm", popularity=0.1, lightfm=0.103, blend=0.112, ease=0.111)
    assert (done.production, done.challenger) == (newer["blend"], newer["ease"])
    why = next(change.why for change in registry.history() if change.alias == PRODUCTION)
    assert why.startswith("lightfm is replaced. NDCG of lightfm is +0.0030")
    assert "NDCG of blend is +0.0120 (+0.0020 to +0.0220) against popularity" in why


@pytest.mark.parametrize(("users", "promoted"), [(9, False), (10, True)])
def test_on_a_few_readers_nothing_is_judged_better_and_nothing_worse(users: int, *, promoted: bool) -> None:
    better = Figures({"popularity": 0.1, "lightfm": 0.2}, users=users)
    assert decide("lightfm", None, better, PARAMS).promote == promoted
    assert decide("lightfm", "popularity", better, PARAMS).promote == promoted
    worse = Figures({"popularity": 0.2, "lightfm": 0.1}, users=users)
    assert decide("lightfm", "lightfm", worse, PARAMS).promote != promoted


@pytest.mark.parametrize("held", [None, Choice("", dt.datetime(2026, 1, 2), "ann", "a trial", "2026-01-02")])
@pytest.mark.parametrize(
    ("figures", "goes_live"),
    [
        (None, "popularity"),
        (Figures({"popularity": 0.1, "lightfm": 0.105}), "popularity"),
        (Figures({"popularity": 0.1, "lightfm": 0.2}), "lightfm"),
    ],
)
def test_what_is_live_and_cannot_be_trained_on_todays_data_gives_way(
    registry: Registry, figures: Figures | None, goes_live: str, held: Choice | None
) -> None:
    """Its old version knows other books: every publication would fail."""
    first = trained(registry, popularity=0, content=1)
    promote(registry, first["content"], alias=PRODUCTION, why="", catalogue_hash="books")
    newer = trained(registry, "tuesday", popularity=0, lightfm=2)
    done = apply_gate(newer, "content", figures, registry, PARAMS, choice=held)
    assert done.production == newer[goes_live]
    why = next(change.why for change in registry.history() if change.alias == PRODUCTION)
    assert why.startswith("content cannot be trained on today's data and is replaced.")


CHOICE = Choice("", dt.datetime(2026, 1, 2, 3, 4), "ann", "a trial", "2026-01-02")


@pytest.mark.parametrize(
    ("live", "ndcg"),
    [
        ("lightfm", {"popularity": 0.1, "lightfm": 0.2, "blend": 0.3}),
        ("lightfm", {"popularity": 0.3, "lightfm": 0.2, "blend": 0.4}),
        ("popularity", {"popularity": 0.1, "lightfm": 0.2, "blend": 0.3}),
        ("lightfm", {"popularity": 0.1, "blend": 0.3}),
    ],
)
def test_what_a_person_chose_stays_whatever_is_measured_and_every_other_is_told_why(
    registry: Registry, live: str, ndcg: dict[str, float]
) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    promote(registry, versions[live], alias=PRODUCTION, why="a trial", catalogue_hash="books")
    done = apply_gate(versions, live, Figures(ndcg), registry, PARAMS, choice=CHOICE)
    assert done.production == versions[live]
    assert done.challenger == versions["blend"]
    for each in done.decisions:
        assert each.candidate == live or not each.promote
    told = {each.candidate: each.reasons for each in done.decisions}
    if not done.unmeasured:
        assert f"{live} was chosen by ann on 2026-01-02 03:04: a trial. It stays until 20%" in told["blend"][-1]


@pytest.mark.parametrize(("newer", "holds"), [(0, True), (1, True), (2, False), (5, False)])
def test_a_choice_holds_until_a_fifth_of_what_was_liked_is_newer(registry: Registry, newer: int, holds: bool) -> None:
    version = trained(registry, lightfm=1)["lightfm"]
    promote(registry, version, alias=PRODUCTION, why="", catalogue_hash="books", data_to="2026-11-20T12:00:00")
    found = choice_in_force(registry, liked_at(["2026-11-20T12:00"] * (10 - newer) + ["2026-11-21"] * newer))
    assert (found is not None) == holds
    assert (registry.choice() is not None) == holds


def test_a_choice_made_before_anything_was_liked_is_over_with_the_first_like(registry: Registry) -> None:
    version = trained(registry, lightfm=1)["lightfm"]
    promote(registry, version, alias=PRODUCTION, why="", catalogue_hash="books", data_to="")
    assert choice_in_force(registry, liked_at([])) is not None
    assert choice_in_force(registry, liked_at(["2026-11-20"])) is None


def test_a_choice_is_over_when_another_recipe_is_live(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1)
    promote(registry, versions["lightfm"], alias=PRODUCTION, why="", catalogue_hash="books", data_to="2026-11-20")
    registry.set_alias(PRODUCTION, versions["popularity"], why="in MLflow's own pages")
    assert choice_in_force(registry, liked_at(["2026-11-20"])) is None
    assert registry.choice() is None


def test_a_rollback_is_a_choice_too(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1)
    judged(registry, versions, None, popularity=0.1, lightfm=0.2)
    promote(registry, versions["popularity"], alias=PRODUCTION, why="", catalogue_hash="books", data_to="2026-11-20")
    roll_back(registry, why="it was worse", data_to="2026-11-20")
    held = choice_in_force(registry, liked_at(["2026-11-20"]))
    assert held is not None
    assert held.why == "it was worse"
    assert held.recipe_hash == registry.info(versions["lightfm"]).recipe_hash


def liked_at(times: list[str]) -> Dataset:
    """A reader who liked a book at each of the times."""
    books = [f"b{number}" for number in range(len(times))]
    liked = pd.DataFrame(
        {"user_id": "u", "book_id": books, "weight": 1.0, "last_at": pd.to_datetime(times, format="mixed")}
    )
    return build_dataset(
        liked.assign(is_positive=True, is_finished=True),
        pd.DataFrame({"user_id": ["u"]}),
        pd.DataFrame({"book_id": books}),
    )


def test_a_measured_challenger_stays_where_one_thing_more_could_not_be_measured(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    judged(registry, versions, None, popularity=0.1, lightfm=0.2, blend=0.3)
    more = versions | trained(registry, mine=3)
    done = judged(registry, more, "blend", popularity=0.1, lightfm=0.2, blend=0.3)
    assert (done.production, done.challenger) == (versions["blend"], versions["lightfm"])
    unmeasured = apply_gate(more, "blend", None, registry, PARAMS)
    assert (unmeasured.production, unmeasured.challenger) == (versions["blend"], versions["lightfm"])
    newer = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2, mine=3)
    later = apply_gate(newer, "blend", None, registry, PARAMS)
    assert (later.production, later.challenger) == (newer["blend"], newer["lightfm"])
    without = {name: version for name, version in newer.items() if name != "lightfm"}
    assert apply_gate(without, "blend", None, registry, PARAMS).challenger is None


def test_what_went_live_after_the_measuring_waits_for_the_next(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    promote(registry, versions["lightfm"], alias=PRODUCTION, why="", catalogue_hash="books")
    figures = Figures({"popularity": 0.1, "lightfm": 0.2, "blend": 0.3}, against=["popularity"])
    done = apply_gate(versions, "lightfm", figures, registry, PARAMS)
    assert (done.unmeasured, done.production, done.challenger) == (True, versions["lightfm"], versions["blend"])


def test_with_nothing_live_a_segment_is_held_against_popularity() -> None:
    figures = Figures({"popularity": 0.1, "blend": 0.2}, worse={("blend", "1-4"): -0.09})
    assert not decide("blend", None, figures, PARAMS).promote


def test_a_roll_back_goes_to_another_recipe_and_not_to_yesterday(registry: Registry) -> None:
    judged(registry, trained(registry, popularity=0, lightfm=1), None, popularity=0.1, lightfm=0.2)
    monday = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2)
    judged(registry, monday, "lightfm", popularity=0.1, lightfm=0.2, blend=0.3)
    tuesday = trained(registry, "wednesday", popularity=0, lightfm=1, blend=2)
    judged(registry, tuesday, "blend", popularity=0.1, lightfm=0.2, blend=0.3)
    before, after = roll_back(registry, why="")
    assert (before.version, after.version) == (tuesday["blend"], tuesday["lightfm"])


def test_any_version_of_a_recipe_brings_it_back_but_not_as_challenger(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    judged(registry, versions, None, popularity=0.1, lightfm=0.2)
    promote(registry, versions["blend"], alias=PRODUCTION, why="", catalogue_hash="books")
    roll_back(registry, why="")
    newer = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2)
    promote(registry, newer["blend"], alias=CHALLENGER, why="", catalogue_hash="books")
    assert registry.info(versions["blend"]).rolled_back
    promote(registry, newer["blend"], alias=PRODUCTION, why="", catalogue_hash="books")
    assert not any(each.rolled_back for each in registry.versions())


def test_a_challenger_that_a_person_chose_stays_on_newer_data(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2, ease=3)
    judged(registry, versions, None, popularity=0.1, lightfm=0.2, blend=0.3, ease=0.15)
    promote(registry, versions["ease"], alias=CHALLENGER, why="a hunch", catalogue_hash="books")
    newer = trained(registry, "tuesday", popularity=0, lightfm=1, blend=2, ease=3)
    done = judged(registry, newer, "blend", popularity=0.1, lightfm=0.2, blend=0.3, ease=0.15)
    assert (done.production, done.challenger) == (newer["blend"], newer["ease"])


@pytest.mark.parametrize("is_a_persons", [False, True])
@pytest.mark.parametrize(
    ("figures", "next_best"), [({"popularity": 0.1, "lightfm": 0.2, "blend": 0.3}, "blend"), (None, None)]
)
def test_a_challenger_that_a_person_puts_into_production_is_challenger_no_more(
    registry: Registry, figures: dict[str, float] | None, next_best: str | None, *, is_a_persons: bool
) -> None:
    versions = trained(registry, popularity=0, lightfm=1, blend=2)
    judged(registry, versions, None, popularity=0.1, lightfm=0.2, blend=0.3)
    if is_a_persons:
        promote(registry, versions["lightfm"], alias=CHALLENGER, why="a hunch", catalogue_hash="books")
    promote(registry, versions["lightfm"], alias=PRODUCTION, why="a trial", catalogue_hash="books")
    done = apply_gate(versions, "lightfm", Figures(figures) if figures else None, registry, PARAMS, choice=CHOICE)
    assert (done.production, done.challenger) == (versions["lightfm"], versions.get(next_best or ""))
    assert {role.role for role in model_roles(registry, {"lightfm": versions["lightfm"]})} == {"production"}


def test_what_was_too_young_to_be_measured_is_refused_and_if_it_is_live_it_stays(registry: Registry) -> None:
    versions = trained(registry, popularity=0, lightfm=1, sequence=2)
    done = judged(registry, versions, None, popularity=0.1, lightfm=0.2)
    assert (done.production, done.challenger) == (versions["lightfm"], None)
    assert "sequence was not evaluated" in done.decisions[2].reasons[0]
    newer = trained(registry, "tuesday", popularity=0, lightfm=1)
    assert judged(registry, newer, "lightfm", popularity=0.1).unmeasured
    assert registry.version_of(PRODUCTION) == newer["lightfm"]


def test_a_model_of_another_catalogue_is_not_promoted(registry: Registry) -> None:
    version = trained(registry, lightfm=1)["lightfm"]
    with pytest.raises(
        RegistryError, match="trained on another item catalog than today's and cannot become challenger"
    ):
        promote(registry, version, alias=CHALLENGER, why="", catalogue_hash="others")


def test_there_is_nothing_to_go_back_to_before_the_second_promotion(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no earlier production recipe"):
        roll_back(registry, why="")
    judged(registry, trained(registry, popularity=0, lightfm=1), None, popularity=0.1, lightfm=0.2)
    with pytest.raises(RegistryError, match="no earlier production recipe"):
        roll_back(registry, why="")
