"""The gate with real models: what over-fits is refused, what is better goes live, and one command goes back."""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.splits import hold_out
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation.evaluate import ALL, EvaluationParams
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.gate import GateParams
from recsys_platform.recommender.registry.promotion import GateOutcome, apply_gate, promote, roll_back
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Registry
from recsys_platform.recommender.training import candidates
from recsys_platform.recommender.training.candidates import (
    candidate_versions,
    evaluate_variants,
    live_recipe,
    load_model,
    train,
)
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import Variant, variant_of

NOW = dt.datetime(2026, 3, 1)
POPULARITY = variant_of("popularity", {"half_life_days": 365})
SOUND = variant_of("lightfm", {"components": 8, "epochs": 3, "feature_weight": 0})
OVER_FITTED = variant_of(
    "deep", {"model": "lightfm", "components": 64, "epochs": 60, "learning_rate": 0.1, "feature_weight": 0}
)
BETTER = variant_of("ease", {"regularization": 200})
BLENDS = {"blend": ["lightfm", "ease"], "mix": ["ease"]}


@pytest.fixture(scope="module")
def noisy(request: pytest.FixtureRequest) -> Dataset:
    """400 readers of one of four tastes among 120 books, each with a fifth of their reading by chance."""
    random = np.random.default_rng(5)
    rows = []
    for reader in range(400):
        taste = reader % 4
        own = np.arange(taste * 30, taste * 30 + 30)
        weights = 1 / (np.arange(30) + 3)
        liked = random.choice(own, size=10, replace=False, p=weights / weights.sum())
        chance = random.choice(120, size=3, replace=False)
        books = random.permutation(np.unique(np.concatenate([liked, chance])))
        rows += [(f"u{reader:03d}", f"b{book:03d}", reader % 7 + 3 * at) for at, book in enumerate(books)]
    frame = pd.DataFrame(rows, columns=["user_id", "book_id", "day"])
    frame["last_at"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["day"], "D")
    frame = frame.assign(weight=5.0, is_positive=True, is_finished=True)
    books_frame = pd.DataFrame({"book_id": [f"b{book:03d}" for book in range(120)]})
    books_frame["categories"] = [[f"taste {book // 30}"] for book in range(120)]
    return build_dataset(frame, pd.DataFrame({"user_id": frame["user_id"].unique()}), books_frame)


def night(data: Dataset, registry: Registry, *variants: Variant) -> GateOutcome:
    """What a night's run does: measure, train, apply_gate."""
    known, live = live_recipe({each.name: each for each in (POPULARITY, *variants)}, registry)
    measured = evaluate_variants(data, variants=known, params=EvaluationParams(resamples=200), live=live)
    for name in known:
        if not name.startswith(PRODUCTION):
            train(name, data, registry, variants=known, now=NOW, metrics={"ndcg": measured.value(name)})
    return apply_gate(candidate_versions(data, known, live, registry, NOW), live, measured, registry, GateParams())


@pytest.fixture
def registry(new_registry: Callable[[Path], Registry], tmp_path: Path) -> Registry:
    return new_registry(tmp_path / "models")


@pytest.mark.slow
def test_what_over_fits_is_refused_what_is_better_goes_live_and_one_command_goes_back(
    noisy: Dataset, registry: Registry
) -> None:
    assert registry.info(night(noisy, registry, SOUND).production or "").variant == "lightfm"
    second = night(noisy, registry, SOUND, OVER_FITTED)
    assert registry.info(second.production or "").variant == "lightfm"
    refused = {each.candidate: each.reasons for each in second.decisions if not each.promote}
    assert "against lightfm" in " ".join(refused["deep"])
    third = night(noisy, registry, SOUND, OVER_FITTED, BETTER)
    assert registry.info(third.production or "").variant == "ease"
    before, after = roll_back(registry, why="")
    assert (before.variant, after.variant) == ("ease", "lightfm")
    assert registry.version_of(PRODUCTION) == after.version
    assert registry.info(night(noisy, registry, SOUND, BETTER).production or "").variant == "lightfm"


def test_the_recipe_of_today_is_judged_not_the_newest_version(noisy: Dataset, registry: Registry) -> None:
    tried = variant_of("ease", {"regularization": 1e6})
    first = night(noisy, registry, BETTER).production
    night(noisy, registry, tried)
    assert night(noisy, registry, BETTER).production == first


def test_a_live_blend_keeps_its_recipe_from_night_to_night(
    noisy: Dataset, new_registry: Callable[[Path], Registry], tmp_path: Path
) -> None:
    registry = new_registry(tmp_path / "artifacts" / "models")
    blend = variant_of("blend", {"components": ["ease"]})
    night(noisy, registry, BETTER, blend)
    promote(registry, registry.newest("blend") or "", alias=PRODUCTION, why="", catalogue_hash=noisy.catalogue_hash)
    other = variant_of("ease", {"regularization": 1e6})
    once = night(noisy, registry, other, blend).production
    assert registry.info(once or "").variant == "blend"
    assert night(noisy, registry, other, blend).production == once


def test_a_blend_is_the_same_with_and_without_what_the_evaluation_found(noisy: Dataset, registry: Registry) -> None:
    known = {
        each.name: each
        for each in (POPULARITY, SOUND, BETTER, variant_of("blend", {"components": ["lightfm", "ease"]}))
    }
    measured = evaluate_variants(noisy, variants=known, params=EvaluationParams(resamples=10))
    alone: Any = Fitter(noisy, known).fit_without_fallback("blend")
    assert [measured.value("blend", f"weight_{part}") for part in ("lightfm", "ease")] == alone.weights.tolist()
    figures = {f"weight_{part}": measured.value("blend", f"weight_{part}") for part in ("lightfm", "ease")}
    for name in ("lightfm", "ease"):
        train(name, noisy, registry, variants=known, now=NOW)
    version = train("blend", noisy, registry, variants=known, now=NOW, metrics=figures).version
    trained: Any = load_model(version, registry).model
    everybody = np.arange(noisy.shape[0], dtype=np.int32)
    assert np.array_equal(trained.model.scores(everybody), alone.scores(everybody))


def test_an_evaluation_may_hold_out_each_readers_latest(noisy: Dataset) -> None:
    known = {"popularity": POPULARITY}
    users = [
        evaluate_variants(noisy, variants=known, params=EvaluationParams(resamples=10, by=by)).table["users"].max()
        for by in ("moment", "reader")
    ]
    assert users[0] < users[1] == noisy.shape[0]


def test_two_popularities_are_two_variants(noisy: Dataset, registry: Registry) -> None:
    month = variant_of("popularity_month", {"model": "popularity", "half_life_days": 30})
    done = night(noisy, registry, month)
    assert {each.candidate for each in done.decisions} == {"popularity", "popularity_month"}


def test_a_live_recipe_that_this_code_cannot_read_counts_as_nothing(noisy: Dataset, registry: Registry) -> None:
    facts = Provenance(dt.datetime(2026, 1, 1), "data", "0.0", params={"model": "ease", "gone": 1})
    registry.set_alias(PRODUCTION, registry.log("ease", {"a": np.array([1])}, facts), why="")
    assert registry.info(night(noisy, registry, BETTER).production or "").recipe_hash != facts.recipe_hash


def test_a_live_recipe_that_left_the_file_of_variants_is_measured_and_trained_on(
    noisy: Dataset, registry: Registry
) -> None:
    night(noisy, registry, BETTER)
    other = variant_of("ease", {"half_life": 0.2})
    done = night(noisy, registry, other)
    assert {each.candidate for each in done.decisions} == {"popularity", "ease", "production"}
    live = registry.info(done.production or "")
    assert live.variant == "ease"
    assert registry.manifest(live.version)["params"]["regularization"] == 200


def test_no_variant_is_fitted_twice_on_one_split_and_every_fit_is_told(noisy: Dataset, registry: Registry) -> None:
    blends = [variant_of(name, {"model": "blend", "components": parts}) for name, parts in BLENDS.items()]
    known = {each.name: each for each in (POPULARITY, SOUND, BETTER, *blends)}
    twin = {"twin": replace(BETTER, name="twin")}
    told: list[str] = []

    def hear(what: str, done: int, total: int) -> None:
        told.extend([] if total else [re.sub(r" \(\d+ of \d+\)$", "", what)])

    measured = evaluate_variants(noisy, variants=known | twin, params=EvaluationParams(resamples=10), on_progress=hear)
    rows = measured.table[measured.table["segment"] == ALL]
    for name in known:
        figures = rows[rows["model"] == name].set_index("metric")["value"].to_dict()
        train(name, noisy, registry, variants=known, now=NOW, metrics=figures, on_progress=hear)
    fits = [what for what in told if what.startswith("fitting ")]
    # Five variants on the evaluation's split and on all data, two components on its training part; the twin on none.
    assert len(fits) == len(set(fits)) == 5 + 5 + 2
    assert measured.value("twin") == measured.value("ease")
    assert "fitting lightfm on the evaluation's split" in fits
    assert "fitting ease on the training part of the evaluation's split" in fits
    assert any(what.startswith("ranking with blend for ") for what in told)


def test_where_nothing_can_be_measured_nothing_is_fitted_for_it(noisy: Dataset, registry: Registry) -> None:
    rows = noisy.interactions
    once = noisy.with_interactions(np.append(True, rows.user[1:] != rows.user[:-1]))  # everybody liked one book
    known = {each.name: each for each in (POPULARITY, SOUND, BETTER, variant_of("blend", {"components": ["lightfm"]}))}
    told: list[str] = []

    def hear(what: str, done: int, total: int) -> None:
        told.append(what)

    with pytest.raises(DataError, match="No reader has enough"):
        evaluate_variants(once, variants=known, params=EvaluationParams(), on_progress=hear)
    assert told == []
    for name in ("popularity", "lightfm", "blend"):
        train(name, once, registry, variants=known, now=NOW, on_progress=hear)
    assert len([what for what in told if what.startswith("fitting lightfm on") and "epochs" not in what]) == 1


def test_newcomers_throw_no_better_recipe_away(noisy: Dataset, registry: Registry) -> None:
    """Most of what comes after the moment is of newcomers: what is better for readers with history goes live, and says how."""
    rows = noisy.interactions
    late = np.isin(rows.user, np.arange(300, 400))
    times = np.where(late, rows.last_at + np.timedelta64(90, "D"), rows.last_at)
    data = replace(noisy, interactions=replace(rows, last_at=times, liked_at=times))
    done = night(data, registry, SOUND, BETTER)
    assert registry.info(done.production or "").variant == "ease"
    reasons = next(each.reasons for each in done.decisions if each.candidate == "ease")
    assert "each reader's latest likes are held out" in reasons[0]
    assert "readers with history liked anything new" in reasons[0]


def test_readers_of_a_large_world_are_a_seeded_sample_and_the_report_says_so(noisy: Dataset) -> None:
    params = EvaluationParams(resamples=100, max_users=50)
    known = {"popularity": POPULARITY, "ease": BETTER}
    some, again = (evaluate_variants(noisy, variants=known, params=params) for _ in range(2))
    everyone = evaluate_variants(noisy, variants=known, params=EvaluationParams(resamples=100))
    assert some.table.equals(again.table)
    assert some.tested == 50
    assert f"a seeded sample of 50 of {everyone.tested:,} readers" in some.protocol
    wide, narrow = (each.difference("ease", "popularity") for each in (some, everyone))
    assert wide.high - wide.low > narrow.high - narrow.low


def test_a_variant_may_begin_with_the_word_production(noisy: Dataset, registry: Registry) -> None:
    wide = variant_of("production_wide", {"model": "ease", "regularization": 200})
    known = {each.name: each for each in (POPULARITY, wide)}
    for name in known:
        train(name, noisy, registry, variants=known, now=NOW)
    assert set(candidate_versions(noisy, known, None, registry, NOW)) == {"popularity", "production_wide"}


def test_a_persons_challenger_and_the_live_recipe_stay_over_an_upgrade(
    noisy: Dataset, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of the release before are not of this code, and the gate decides before the night trains them again."""
    known = {"popularity": POPULARITY, "ease": BETTER}
    before = {name: train(name, noisy, registry, variants=known, now=NOW).version for name in known}
    registry.set_alias(PRODUCTION, before["popularity"], why="a person")
    registry.set_alias(CHALLENGER, before["ease"], why="a person")
    monkeypatch.setattr(candidates, "_code_and_baseline_version", lambda _: "the next release")
    found = candidate_versions(noisy, known, "popularity", registry, NOW)
    assert set(found) == set(known)
    assert not set(found.values()) & set(before.values())
    apply_gate(found, "popularity", None, registry, GateParams())
    assert registry.version_of(CHALLENGER) == found["ease"]


def test_what_was_chosen_for_the_whole_is_held_out_of_its_past_too() -> None:
    """Weights and half-lives are chosen on the same kind of question, however few readers the past leaves."""
    minute = iter(range(1000))
    many = [(f"a{n}", f"b{(n + 3 * k) % 20}", next(minute)) for n in range(200) for k in range(2)]
    few = [(f"z{n}", f"b{(n + k) % 20}", next(minute)) for n in range(40) for k in range(5)]
    late = [(f"a{n}", f"b{(n + 7) % 20}", 5000 + n) for n in range(200)]
    frame = pd.DataFrame([*many, *few, *late], columns=["user_id", "book_id", "minute"])
    frame["last_at"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["minute"], "min")
    frame = frame.assign(weight=5.0, is_positive=True, is_finished=True)
    books = pd.DataFrame({"book_id": frame["book_id"].unique()})
    data = build_dataset(frame, pd.DataFrame({"user_id": frame["user_id"].unique()}), books)
    split = hold_out(data, min_readers=100)
    assert (split.by, hold_out(split.train, min_readers=100).by) == ("moment", "reader")
    blend = variant_of("blend", {"components": ["ease", "sequence"]})
    known = {each.name: each for each in (variant_of("popularity", {}), BETTER, variant_of("sequence", {}), blend)}
    auto, moment = (
        evaluate_variants(data, variants=known, params=EvaluationParams(resamples=10, by=by, min_readers=100))
        for by in ("auto", "moment")
    )
    assert auto.table.equals(moment.table)
