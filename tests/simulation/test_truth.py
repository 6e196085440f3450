"""The truth says who likes what, stays out of the hub, and explains what readers do."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.simulation.truth import affinity, load_truth, mean_true_affinity
from tests.support.simulated import Simulated


def attributes(simulated: Simulated, kind: str) -> list[dict[str, object]]:
    return pq.read_table(simulated.truth_dir / f"{kind}_attributes.parquet").to_pylist()


def test_affinity_is_a_probability_of_each_pair(simulated: Simulated) -> None:
    truth = load_truth(simulated.truth_dir)
    likes = affinity(truth, user_ids=["u0000001", "u0000002"], book_ids=["b00001", "b00001"])
    assert likes.shape == (2,)
    assert ((likes >= 0) & (likes <= 1)).all()
    assert mean_true_affinity(truth, user_ids=["u0000001", "u0000002"], book_ids=["b00001", "b00001"]) == pytest.approx(
        likes.mean()
    )
    assert mean_true_affinity(truth, user_ids=[], book_ids=[]) == 0.0


def test_an_unknown_id_is_named(simulated: Simulated) -> None:
    with pytest.raises(InputError, match="'nobody'"):
        affinity(load_truth(simulated.truth_dir), user_ids=["nobody"], book_ids=["b00001"])


def test_books_of_stated_interests_and_own_language_are_liked_better(simulated: Simulated) -> None:
    truth = load_truth(simulated.truth_dir)
    books = attributes(simulated, "book")
    fitting, other = [], []
    for user in attributes(simulated, "user"):
        for book in books:
            fits = user["language"] == book["language"] and set(user["interests"]) & set(book["categories"])  # type: ignore[call-overload]
            (fitting if fits else other).append((user["user_id"], book["book_id"]))
    means = [
        mean_true_affinity(truth, user_ids=[u for u, _ in pairs], book_ids=[b for _, b in pairs])
        for pairs in (fitting, other)
    ]
    assert means[0] > 2 * means[1]


def test_there_are_as_many_as_asked_for_at_the_end(simulated: Simulated) -> None:
    users, books = attributes(simulated, "user"), attributes(simulated, "book")
    assert (len(users), len(books)) == (150, 60)
    assert [user["user_id"] for user in users] == [f"u{number:07d}" for number in range(1, 151)]
    assert max(str(user["created_at"]) for user in users) > "2026-11-15"
    assert max(str(book["published_at"]) for book in books) > "2026-11-10"
    assert {user["tier"] for user in users} == {"free", "premium"}
    assert np.mean([bool(book["is_available"]) for book in books]) > 0.9


def test_the_truth_is_not_in_the_hub(simulated: Simulated) -> None:
    assert not list(simulated.hub.root.rglob("*.parquet"))
    assert simulated.hub.folders("") == ["engagement_events"]
