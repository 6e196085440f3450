"""Sequential recommendation in closed form: the transition model of SLIST (Choi et al. 2021), with decay in both directions.

Belongs here: transitions between liked books. Does not: co-occurrence without order (ease.py), scoring (item_similarity.py).
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import Histories, histories_of
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel, most_liked
from recsys_platform.recommender.params import Count, HalfLife, Positive


@dataclass(frozen=True)
class SequenceParams:
    """`regularization`: λ. `half_life`: in books, of what was liked before and of what follows. `max_books`: as for EASE."""

    regularization: Positive = 10.0
    half_life: HalfLife = 4.0
    max_books: Count = 5_000


def fit_sequence(data: Dataset, params: SequenceParams, *, name: str = "sequence") -> ItemSimilarityModel:
    """Fit B = (PᵀP + λI)⁻¹ PᵀF with zero diagonal: from the past P to the future F at every position of every history.

    A history is cut after each of its books; books of the same time are on the same side of a cut. Weights decay with the distance
    from the cut, and all cuts of a history together weigh 1.

    Raises NothingToLearnError if nobody liked two books at different times.
    """
    histories = histories_of(data)
    chosen = most_liked(histories, params.max_books)
    if not histories.age.any():
        raise NothingToLearnError(
            "Nobody liked two books one after the other: there is no order to learn from. Load events with times first."
        )
    past, future = _transition_moments(histories, chosen, params.half_life)
    past[np.diag_indices_from(past)] += params.regularization
    weights = linalg.solve(past, future, assume_a="pos", overwrite_a=True, overwrite_b=True, check_finite=False)
    np.fill_diagonal(weights, 0)
    return ItemSimilarityModel(name, weights.astype(np.float32), chosen, histories, params.half_life)


def _transition_moments(histories: Histories, chosen: IntArray, half_life: float) -> tuple[DoubleArray, DoubleArray]:
    """PᵀP and PᵀF, both of shape (len(chosen), len(chosen)), from one dense block per history."""
    column = np.full(histories.n_books, -1)
    column[chosen] = np.arange(len(chosen))
    past, future = (np.zeros((len(chosen), len(chosen))) for _ in range(2))
    for start, stop in zip(histories.starts[:-1], histories.starts[1:], strict=True):
        books = column[histories.books[start:stop]]
        known = np.flatnonzero(books >= 0)
        if len(books) > 1 and len(known):
            where = np.ix_(books[known], books[known])
            at = len(books) - 1 - histories.age[start:stop][known]  # equal for books of the same time
            of_past, of_future = _closed_forms(at, len(books), half_life)
            past[where] += of_past
            future[where] += of_future
    return past, future


def _closed_forms(at: AnyArray, length: int, half_life: float) -> tuple[DoubleArray, DoubleArray]:
    """Sums over all cuts c, for positions a and b of a history and p(x) = 2^(-x / half_life), in closed form.

    Σ p(c - 1 - a) p(c - 1 - b) over the cuts after both, and Σ p(c - 1 - a) p(b - c) over the cuts between a and b.
    """
    later = at[None, :] - at[:, None]
    faded = np.exp2(-2.0 / half_life)
    cuts = length - 1 - np.maximum(at[:, None], at[None, :])
    together = np.exp2(-np.abs(later) / half_life) * (1 - faded**cuts) / (1 - faded)
    following = np.where(later > 0, later * np.exp2(-(later - 1) / half_life), 0)
    return together / length, following / length
