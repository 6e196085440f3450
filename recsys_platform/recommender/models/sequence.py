"""Which books are liked after which, in closed form: the transition half of SLIST (Choi et al. 2021), with fading on both sides.

Belongs here: what comes next. Does not: what goes together whatever the order (ease.py), scoring (items.py).
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import Histories, histories_of
from recsys_platform.recommender.models.item_similarity import ItemModel, most_liked
from recsys_platform.recommender.params import Count, HalfLife, Positive


@dataclass(frozen=True)
class SequenceParams:
    """`regularization`: λ. `half_life`: in books, of what was liked before and of what follows. `max_books`: as for EASE."""

    regularization: Positive = 10.0
    half_life: HalfLife = 4.0
    max_books: Count = 5_000


def fit_sequence(data: Dataset, params: SequenceParams, *, name: str = "sequence") -> ItemModel:
    """B = (PᵀP + λI)⁻¹ PᵀF: from the past P to the future F at every moment of every history, its diagonal 0.

    A history is cut at each of its books, and books of one moment lie on the same side of a cut. What lies before and behind it fades
    with its distance from it, and a history's cuts weigh 1 together.

    NothingToLearnError if nobody liked two books, one after the other.
    """
    histories = histories_of(data)
    chosen = most_liked(histories, params.max_books)
    if not histories.age.any():
        raise NothingToLearnError(
            "Nobody liked two books one after the other: there is no order to learn from. Load events with times first."
        )
    past, future = _moments(histories, chosen, params.half_life)
    past[np.diag_indices_from(past)] += params.regularization
    weights = linalg.solve(past, future, assume_a="pos", overwrite_a=True, overwrite_b=True, check_finite=False)
    np.fill_diagonal(weights, 0)
    return ItemModel(name, weights.astype(np.float32), chosen, histories, params.half_life)


def _moments(histories: Histories, chosen: IntArray, half_life: float) -> tuple[DoubleArray, DoubleArray]:
    """PᵀP and PᵀF, both (len(chosen),) * 2, from one dense block a history: their sums over all cuts have closed forms."""
    column = np.full(histories.n_books, -1)
    column[chosen] = np.arange(len(chosen))
    past, future = (np.zeros((len(chosen), len(chosen))) for _ in range(2))
    for start, stop in zip(histories.starts[:-1], histories.starts[1:], strict=True):
        books = column[histories.books[start:stop]]
        known = np.flatnonzero(books >= 0)
        if len(books) > 1 and len(known):
            where = np.ix_(books[known], books[known])
            at = len(books) - 1 - histories.age[start:stop][known]  # the same for books of one moment
            of_past, of_future = _closed_forms(at, len(books), half_life)
            past[where] += of_past
            future[where] += of_future
    return past, future


def _closed_forms(at: AnyArray, length: int, half_life: float) -> tuple[DoubleArray, DoubleArray]:
    """For positions a and b of a history, and p(x) = 2^(-x / half_life): sums over the cuts c between books.

    Σ p(c - 1 - a) p(c - 1 - b) over the cuts behind both, and Σ p(c - 1 - a) p(b - c) over the cuts from a to b.
    """
    later = at[None, :] - at[:, None]
    faded = np.exp2(-2.0 / half_life)
    cuts = length - 1 - np.maximum(at[:, None], at[None, :])
    together = np.exp2(-np.abs(later) / half_life) * (1 - faded**cuts) / (1 - faded)
    following = np.where(later > 0, later * np.exp2(-(later - 1) / half_life), 0)
    return together / length, following / length
