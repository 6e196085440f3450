"""What every variant must do, in worlds that can be solved by hand, and what the file of variants may say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.splits import hold_out_random
from recsys_platform.recommender.errors import DataError, ModelError, NothingToLearnError
from recsys_platform.recommender.models.blend import best_weights, standardized
from recsys_platform.recommender.models.fallback import PRIOR_BOOKS, Readers, WithFallback
from recsys_platform.recommender.models.histories import histories_from, histories_of
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.ranking.top_k import top_k
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.tuning import TuningParams, tune_all
from recsys_platform.recommender.training.variants import Variant, load_variants, variant_of

Make = Callable[..., Dataset]
PERSONAL = ["lightfm", "als", "item_knn", "ease", "sequence", "blend"]
SMALL = {"lightfm": {"components": 8, "epochs": 30, "seed": 1}, "als": {"components": 8}}
"""Parameters for worlds of twenty books."""


def small_variants() -> dict[str, Variant]:
    return load_variants() | {name: variant_of(name, given) for name, given in SMALL.items()}


@pytest.fixture(scope="module")
def fitter(checkerboard: Any) -> Fitter:
    return Fitter(checkerboard.data, small_variants())


@pytest.mark.parametrize("name", [name for name in PERSONAL if name != "sequence"])
def test_every_reader_is_offered_the_withheld_book_of_the_own_colour(
    name: str, fitter: Fitter, checkerboard: Any
) -> None:
    users = np.arange(60, dtype=np.int32)
    offered = top_k(fitter.fit(name).scores, users, k=1, exclude=checkerboard.data.pairs()).books[:, 0]
    assert offered.tolist() == checkerboard.withheld


@pytest.mark.parametrize("name", PERSONAL)
def test_readers_met_after_training_are_offered_books_of_their_colour(name: str, fitter: Fitter) -> None:
    newcomers = histories_from([[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]], 20)
    scores = fitter.fit_without_fallback(name).fold_in(newcomers)
    scores[0, :12:2] = scores[1, 1:12:2] = -np.inf
    assert (scores.argmax(axis=1) % 2).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["item_knn", "ease", "sequence"])
def test_folding_in_a_known_history_gives_the_scores_of_training(name: str, fitter: Fitter, checkerboard: Any) -> None:
    model, histories = fitter.fit_without_fallback(name), histories_of(checkerboard.data)
    users = np.arange(60, dtype=np.int32)
    assert (model.fold_in(histories.take(users)) == model.scores(users)).all()


@pytest.mark.parametrize("name", ["item_knn", "ease", "sequence"])
def test_the_contributions_of_the_liked_books_add_up_to_the_scores(name: str, fitter: Fitter) -> None:
    model, one = fitter.fit_without_fallback(name), histories_from([[4, 9, 2, 7]], 20)
    books = np.array([0, 3, 19])
    assert np.allclose(model.contributions(one, books).sum(axis=0), model.fold_in(one)[0, books], atol=1e-5)


@pytest.mark.parametrize("name", ["lightfm", "als"])
def test_with_vectors_they_add_up_to_what_a_reader_of_nothing_does_not_score(name: str, fitter: Fitter) -> None:
    model, one, books = fitter.fit_without_fallback(name), histories_from([[4, 9, 2, 7]], 20), np.arange(20)
    gained = model.fold_in(one)[0] - model.fold_in(histories_from([[]], 20))[0]
    assert np.allclose(model.contributions(one, books).sum(axis=0), gained, atol=1e-5)


@pytest.mark.parametrize("sparsely", [False, True])
def test_books_without_a_say_add_nothing_and_nothing_adds_to_them(*, sparsely: bool) -> None:
    similarity = np.array([[0, 2], [3, 0]], np.float32)
    one = histories_from([[1, 0, 3]], 4)
    chosen = np.array([1, 3], np.int32)  # not 0 and 2
    model = ItemSimilarityModel(
        "some", sparse.csr_array(similarity) if sparsely else similarity, chosen, one, half_life=1
    )
    found = model.contributions(one, np.array([3, 2, 1], np.int32))
    assert found.tolist() == [[2 / 4, 0, 0], [0, 0, 0], [0, 0, 3]]


@pytest.mark.parametrize("name", ["ease", "sequence"])
def test_rows_of_a_dense_matrix_are_in_one_piece_so_that_folding_one_reader_in_copies_none_of_it(
    name: str, fitter: Fitter
) -> None:
    model: Any = fitter.fit_without_fallback(name)
    assert model.similarity.flags.c_contiguous


@pytest.mark.parametrize("name", PERSONAL)
def test_a_book_is_explained_by_a_book_of_its_colour(name: str, fitter: Fitter) -> None:
    model, one = fitter.fit_without_fallback(name), histories_from([[0, 1, 2, 3, 4, 5]], 20)
    added = model.contributions(one, np.array([10, 11]))
    assert added.shape == (6, 2)
    assert (one.books[added.argmax(axis=0)] % 2).tolist() == [0, 1]


@pytest.mark.parametrize("name", [*PERSONAL, "popularity", "lightfm_content"])
def test_a_variant_made_of_its_arrays_scores_and_folds_in_the_same(
    name: str, fitter: Fitter, checkerboard: Any
) -> None:
    data, users = checkerboard.data, np.arange(61, dtype=np.int32)
    model: Any = fitter.fit(name)
    again: Any = restore(name, TrainedModel(model, data.user_ids, data.book_ids).arrays()).model
    newcomers = histories_from([[1, 2], []], 20)
    assert again.name == name
    assert (again.scores(users) == model.scores(users)).all()
    assert (again.fold_in(newcomers) == model.fold_in(newcomers)).all()


@pytest.mark.parametrize("name", PERSONAL)
def test_a_users_scores_do_not_depend_on_who_else_is_asked_for(name: str, fitter: Fitter) -> None:
    model: Recommender = fitter.fit(name)
    together = model.scores(np.arange(61, dtype=np.int32))
    alone = np.vstack([model.scores(np.array([user], np.int32)) for user in range(61)])
    assert (together == alone).all()


@pytest.mark.parametrize("name", [*PERSONAL, "lightfm_content"])
def test_a_reader_folded_in_alone_has_the_scores_of_company(name: str, fitter: Fitter, checkerboard: Any) -> None:
    model, histories = fitter.fit(name), histories_of(checkerboard.data)
    together = model.fold_in(histories)
    alone = np.vstack([model.fold_in(histories.take(np.array([user], np.int32))) for user in range(61)])
    assert (together == alone).all()


def test_what_follows_is_learned_from_what_came_before(make_dataset: Make) -> None:
    books = [f"b{number}" for number in range(6)]
    rng = np.random.default_rng(0)
    starts = rng.integers(6, size=80)
    likes = {f"u{n:02d}": [books[(start + step) % 6] for step in range(4)] for n, start in enumerate(starts)}
    variants = {"sequence": variant_of("sequence", {"half_life": 1, "regularization": 1})}
    model = Fitter(make_dataset(likes, books), variants).fit_without_fallback("sequence")
    following = model.fold_in(histories_from([[number] for number in range(6)], 6)).argmax(axis=1)
    assert following.tolist() == [1, 2, 3, 4, 5, 0]


def test_the_most_liked_books_alone_take_part_where_there_are_too_many(make_dataset: Make) -> None:
    likes = {"u1": ["b1", "b2"], "u2": ["b1", "b2"], "u3": ["b1", "b2", "b3"]}
    variants = load_variants() | {"sequence": variant_of("sequence", {"max_books": 2})}
    model = Fitter(make_dataset(likes, ["b1", "b2", "b3"]), variants).fit_without_fallback("sequence")
    scores = model.fold_in(histories_from([[0], [2]], 3))
    assert scores[0, 1] > 0
    assert scores[:, 2].tolist() == [0, 0]
    assert scores[1].tolist() == [0, 0, 0]


def library(make_interactions: Callable[..., Any], likes: dict[str, list[str]]) -> Dataset:
    """Two series of three books by two authors each, and a book that shares no word with any."""
    titles = ["Dune", "Dune Messiah", "Children of Dune", "Emma in Love", "Emma and Love", "Love, Emma", "Xyzzy"]
    authors = ["Herbert", "Herbert", "Herbert Jr", "Austen", "Austen", "Austen", None]
    books = pd.DataFrame({"book_id": [f"b{n}" for n in range(7)], "title": titles, "author": authors})
    return build_dataset(make_interactions(likes), pd.DataFrame({"user_id": list(likes)}), books)


def test_books_alike_by_title_author_or_category_are_offered_also_if_nobody_liked_them(
    make_interactions: Callable[..., Any],
) -> None:
    data = library(make_interactions, {"u1": ["b0"], "u2": ["b3"], "u3": ["b6"]})
    model = Fitter(data, load_variants()).fit_without_fallback("content")
    scores = model.scores(np.arange(3, dtype=np.int32))
    assert set(np.flatnonzero(scores[0])) == {0, 1, 2}
    assert scores[0, 1] > scores[0, 2] > 0, "the author counts beside the word"
    assert set(np.flatnonzero(scores[1])) == {3, 4, 5}
    assert model.personal(np.arange(3, dtype=np.int32)).tolist() == [True, True, False]
    again = restore("content", TrainedModel(model, data.user_ids, data.book_ids).arrays()).model
    np.testing.assert_array_equal(again.scores(np.arange(3, dtype=np.int32)), scores)
    history = histories_of(data).take(np.array([1], np.int32))
    np.testing.assert_array_equal(model.contributions(history, np.arange(7, dtype=np.int32)).sum(axis=0), scores[1])


def test_without_metadata_a_blend_does_without_content(make_interactions: Callable[..., Any], fitter: Fitter) -> None:
    with pytest.raises(NothingToLearnError, match="share a word of the title, an author or a category"):
        fitter.fit_without_fallback("content")
    assert "content" not in [part.name for part in fitter.fit_without_fallback("blend").components]
    whole = Fitter(library(make_interactions, {"u1": ["b0", "b1"], "u2": ["b3", "b4"]}), small_variants())
    assert "content" in [part.name for part in whole.fit_without_fallback("blend").components]


def popularity_of(make_dataset: Make, likes: dict[str, list[str]], **columns: Any) -> tuple[float, list[float]]:
    """The half-life that was chosen and everyone's scores."""
    data = make_dataset(likes, sorted({book for books in likes.values() for book in books}), **columns)
    model = Fitter(data, load_variants()).fit_without_fallback("popularity")
    return model.half_life_days, model.table[0].tolist()


def test_where_what_is_read_stays_popularity_remembers_and_where_fashions_pass_it_forgets(
    make_dataset: Make,
) -> None:
    readers = [f"u{n:03}" for n in range(400)]
    draw, shares = np.random.default_rng(0), 1 / np.arange(3, 43)
    # A reader a day: of forty books that some always read more than others, and of two that nobody reads any more in three weeks.
    steady = {user: [f"c{book:02}" for book in draw.choice(40, 2, False, shares / shares.sum())] for user in readers}
    fashion = {user: [f"f{n // 20:02}", f"g{n // 20:02}"] for n, user in enumerate(readers)}
    days = pd.to_datetime(np.repeat(pd.date_range("2025-01-01", periods=400).to_numpy(), 2))
    assert popularity_of(make_dataset, steady, last_at=days, first_liked_at=days)[0] >= 90
    half_life, scores = popularity_of(make_dataset, fashion, last_at=days, first_liked_at=days)
    assert half_life <= 30
    assert np.argmax(scores[:20]) == 19


def test_without_times_popularity_is_a_plain_count(make_dataset: Make) -> None:
    likes = {f"u{n}": ["b1", "b2"][: 1 + n % 2] for n in range(30)}
    half_life, scores = popularity_of(make_dataset, likes, last_at=pd.Timestamp("2026-01-01"))
    assert (half_life, scores) == (np.inf, [1, 0.5])


def test_a_half_life_in_the_file_is_kept() -> None:
    assert variant_of("popularity", {"half_life_days": 7}).params.half_life_days == 7
    assert variant_of("popularity", {"half_life_days": float("inf")}).params.half_life_days == np.inf
    with pytest.raises(ModelError, match="half_life_days"):
        variant_of("popularity", {"half_life_days": "soon"})


def test_new_readers_get_books_of_their_language_and_interests_first(make_interactions: Callable[..., Any]) -> None:
    users = pd.DataFrame({"user_id": ["u1", "u2"], "language": ["en", "en"], "interests": [["art", "war"]] * 2})
    books = pd.DataFrame(
        {
            "book_id": ["b1", "b2", "b3", "b4"],
            "language": ["en", "en", "de", "de"],
            "categories": [["art"], ["war"], ["art"], ["war"]],
        }
    )
    data = build_dataset(make_interactions({"u1": ["b1"], "u2": ["b1"]}), users, books)
    model = Fitter(data, small_variants()).fit("lightfm")
    assert isinstance(model, WithFallback)
    scores = model.scores_of(Readers(histories_from([[], []], 4), ["de", "en"], [["War "], ["art"]]))
    assert scores.argmax(axis=1).tolist() == [3, 0]


def test_the_shorter_a_history_the_more_the_prior_counts(fitter: Fitter) -> None:
    model: Any = fitter.fit("ease")
    prior = standardized(model.fallback.scores_for_readers([""], [()]))
    for books in ([], [0], [0, 2, 4]):
        history = histories_from([books], 20)
        own = len(books) / (len(books) + PRIOR_BOOKS)
        assert np.allclose(model.fold_in(history), own * standardized(model.model.fold_in(history)) + (1 - own) * prior)


def test_a_world_in_which_nobody_liked_anything_is_said(make_dataset: Make) -> None:
    data = make_dataset({"u1": ["b1"]}, ["b1"], is_positive=False)
    for name in ("als", "item_knn", "ease", "sequence"):
        with pytest.raises(DataError, match="Nobody liked"):
            Fitter(data, load_variants()).fit_without_fallback(name)


def test_in_a_young_world_a_blend_is_of_what_can_learn_and_the_rest_is_left_out(make_dataset: Make) -> None:
    data = make_dataset({"u1": ["b1"], "u2": ["b2"]}, ["b1", "b2", "b3"])
    fitter = Fitter(data, load_variants())
    blend: Any = fitter.fit("blend")
    assert {part.name for part in blend.model.components} == {*PERSONAL, "lightfm_content"} - {"blend", "sequence"}
    assert [model.name for model in fitter.fit_all(["popularity", "sequence", "ease"])] == ["popularity", "ease"]
    with pytest.raises(NothingToLearnError, match="No component of blend has anything to learn from"):
        Fitter(
            data, load_variants() | {"blend": variant_of("blend", {"components": ["sequence"]})}
        ).fit_without_fallback("blend")


def test_a_reader_whose_only_book_says_nothing_of_others_is_not_known(make_dataset: Make) -> None:
    liked = {"u1": ["b1", "b2"], "u2": ["b1", "b2"], "u3": ["b3"], "u4": ["b4"], "u5": ["b5"]}
    data = make_dataset(liked, ["b1", "b2", "b3", "b4", "b5"])
    for name in ("ease", "item_knn"):
        model = Fitter(data, load_variants()).fit_without_fallback(name)
        assert model.personal(np.arange(3, dtype=np.int32)).tolist() == [True, True, False]


def test_neighbours_of_readers_who_liked_nearly_everything_are_numbers(make_dataset: Make) -> None:
    data = make_dataset({"a": ["b1", "b2", "b3", "b4", "b5"], "b": ["b0"]}, [f"b{n}" for n in range(6)])
    assert np.isfinite(
        Fitter(data, load_variants()).fit_without_fallback("item_knn").scores(np.array([0, 1], np.int32))
    ).all()


def test_a_weight_is_moved_for_what_is_significantly_better_and_not_for_chance() -> None:
    chance = np.random.default_rng(3).normal(0, 1, 400)
    chance += 0.02 - chance.mean()  # a gain of less than half its standard error

    def quality(weights: Any) -> Any:
        first, second, third = weights
        return 0.2 * (first > 0) - 0.1 * (second - 0.35) ** 2 + third * chance

    assert best_weights(quality, 3).tolist() == pytest.approx([1, 0.35, 0])


def test_a_blend_takes_the_better_component_and_leaves_out_a_useless_one(checkerboard: Any) -> None:
    variants = small_variants() | {"blend": variant_of("blend", {"components": ["ease", "popularity"]})}
    blend: Any = Fitter(checkerboard.data, variants).fit_without_fallback("blend")
    assert blend.weights[0] > 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lightfm: {componentz: 3}", "unknown parameter 'componentz'"),
        ("lightfm: {components: many}", "Variant lightfm, parameter components"),
        ("mine: {}", "unknown model 'mine'"),
        ("blend: {components: [ease]}", "component 'ease', which is not a variant"),
        ("", "has no variants"),
        ("my ease: {model: ease}", "'my ease' cannot name a variant: use lower-case letters"),
        ("my-ease: {model: ease}", "'my-ease' cannot name a variant"),
        ("Ease: {model: ease}", "'Ease' cannot name a variant"),
        ("7: {model: ease}", "7 cannot name a variant"),
        ("true: {model: ease}", "True cannot name a variant"),
        ("production.ease: {model: ease}", "'production.ease' cannot name a variant"),
        ("évaluation: {model: ease}", "cannot name a variant"),
        ("evaluation: {model: ease}", "evaluation is a reserved name"),
        ("production: {model: ease}", "production is a reserved name"),
        ("ease: {}\nals: {}\nease: {}", "line 3: the key 'ease' appears twice"),
        ("ease: {regularization: 1, regularization: 2}", "line 1: the key 'regularization' appears twice"),
        ("ease: 5", "Variant ease must be a mapping of parameters to values, not 5"),
        ("ease: [1]", "Variant ease must be a mapping of parameters"),
        ("ease: {model: [ease]}", "unknown model"),
        ("lightfm: {components: 0}", "components: input should be greater than or equal to 1, not 0"),
        ("lightfm: {epochs: 0}", "epochs: input should be greater than or equal to 1, not 0"),
        ("lightfm: {epochs: true}", "epochs: input should be a number, not True"),
        ("lightfm: {learning_rate: 0}", "learning_rate: input should be greater than 0, not 0"),
        ("lightfm: {user_alpha: -1}", "user_alpha: input should be greater than or equal to 0, not -1"),
        ("lightfm: {half_life: 0}", "half_life: input should be greater than 0"),
        ("lightfm: {threads: 0}", "threads: "),
        ("lightfm: {seed: -1}", "seed: "),
        ("lightfm: {content: {regularization: 0}}", "parameter content.regularization: .* greater than 0, not 0"),
        ("lightfm: {content: {regularisation: 1}}", "unknown parameter 'regularisation': content has regularization"),
        ("ease: {regularization: -1}", "regularization: input should be greater than 0, not -1"),
        ("ease: {regularization: .nan}", "regularization: "),
        ("ease: {regularization: .inf}", "regularization: "),
        ("ease: {max_books: 0}", "max_books: "),
        ("item_knn: {neighbours: 0}", "neighbours: "),
        ("item_knn: {b: 2}", "parameter b: .* less than or equal to 1, not 2"),
        ("als: {iterations: 0}", "iterations: "),
        ("als: {alpha: 0}", "alpha: "),
        ("sequence: {half_life: -4}", "half_life: "),
        ("popularity: {half_life_days: 0}", "half_life_days: "),
        ("ease: {}\nblend: {components: []}", "components: .*at least 1 item"),
        ("ease: {}\nblend: {components: ease}", "components: input should be a list, not 'ease'"),
        ("ease: {}\nblend: {components: [ease, ease]}", "lists the component 'ease' twice"),
        ("ease: {}\nblend: {components: [ease], held_out: 1}", "held_out: .* less than 1, not 1"),
        ("ease: {}\nblend: {components: [ease], k: 0}", "parameter k: "),
        ("a: [", "cannot be read"),
        (
            "popularity: {model: ease}",
            "popularity is the baseline and must have the model popularity, not ease: choose",
        ),
        ("ease: {}\npopularity: {model: blend, components: [ease]}", "must have the model popularity, not blend"),
        (
            "lightfm: {components: 100000000000}",
            "lightfm, parameter components: .* less than or equal to 4096, not 1000",
        ),
        ("als: {components: 5000}", "als, parameter components: .* less than or equal to 4096, not 5000"),
    ],
)
def test_a_mistake_in_the_file_of_variants_is_one_sentence(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=complaint) as error:
        load_variants(path)
    assert "\n" not in str(error.value)


def test_a_variant_is_a_name_for_a_model_with_parameters_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text("wide: {model: lightfm, components: 64}\nmixed: {model: blend, components: [wide]}\n")
    variants = load_variants(path)
    assert list(variants) == ["popularity", "wide", "mixed"]
    assert variants["mixed"].recipe(variants)["components"]["wide"]["components"] == 64


def test_what_has_nothing_to_learn_from_is_named_and_the_rest_is_tuned(make_dataset: Make) -> None:
    likes = {f"u{number}": ["b1", "b2", "b3", "b4"] for number in range(9)}
    data = make_dataset(likes, ["b1", "b2", "b3", "b4"], last_at=pd.Timestamp("2026-01-01"))
    found, not_tuned = tune_all(["sequence", "ease"], load_variants(), hold_out_random(data), TuningParams(trials=1))
    assert [each.name for each in found] == ["ease"]
    assert not_tuned == [
        "sequence is not tuned: Nobody liked two books one after the other: there is no order to learn from. "
        "Load events with times first."
    ]


def test_a_component_that_could_not_be_judged_counts_nothing_and_others_keep_their_weights(make_dataset: Make) -> None:
    class Chosen(Fitter):
        def weights(self, name: str, params: Any) -> dict[str, float]:
            return {"ease": 1.0, "item_knn": 0.0}

    liked = {f"u{number}": ["b1", "b2", "b3"] for number in range(5)}
    blend: Any = Chosen(make_dataset(liked, ["b1", "b2", "b3"]), load_variants()).fit_without_fallback("blend")
    weights = {part.name: float(weight) for part, weight in zip(blend.components, blend.weights, strict=True)}
    assert weights.pop("ease") == 1
    assert weights.keys() >= {"item_knn", "sequence"}
    assert set(weights.values()) == {0}


def test_books_of_one_moment_say_nothing_of_what_follows_which(make_dataset: Make) -> None:
    at_once = {f"u{number}": ["b1", "b2", "b3"] for number in range(30)}
    days = [*["2026-01-01"] * 90, "2026-01-01", "2026-01-02"]
    data = make_dataset({**at_once, "v": ["b4", "b5"]}, ["b1", "b2", "b3", "b4", "b5"], last_at=pd.to_datetime(days))
    scores = Fitter(data, load_variants()).fit_without_fallback("sequence").fold_in(histories_from([[0], [3]], 5))
    assert scores[0].tolist() == [0, 0, 0, 0, 0]
    assert scores[1].argmax() == 4


@pytest.mark.parametrize("name", PERSONAL)
def test_histories_of_another_catalogue_are_refused_and_of_nobody_are_nothing(name: str, fitter: Fitter) -> None:
    model = fitter.fit(name)
    with pytest.raises(ModelError, match="about 21 books and the model about 20"):
        model.fold_in(histories_from([[20]], 21))
    assert model.fold_in(histories_from([], 20)).shape == (0, 20)


def test_a_history_of_books_that_do_not_exist_is_refused() -> None:
    for book in (-1, 3):
        with pytest.raises(ModelError, match="outside the item catalog of 3 books"):
            histories_from([[0, book]], 3)


def test_an_item_model_stored_before_ages_were_is_read_with_those_of_its_order(fitter: Fitter) -> None:
    model: Any = fitter.fit_without_fallback("ease")
    stored = model.arrays()
    del stored["history_ages"]
    again = type(model).restore("ease", stored)
    assert again.histories.age.tolist() == model.histories.age.tolist()


def test_als_without_regularization_is_a_mistake_in_the_file() -> None:
    with pytest.raises(ModelError, match=r"Variant als, parameter regularization: .* greater than 0"):
        variant_of("als", {"regularization": 0})
