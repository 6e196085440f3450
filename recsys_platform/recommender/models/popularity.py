"""Popularity: the most popular books, those in the reader's language first.

Belongs here: the popularity model. Does not: when it replaces a personal model (fallback.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, DoubleArray, FloatArray, IdArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.recency import time_decay
from recsys_platform.recommender.models.histories import Histories
from recsys_platform.recommender.params import HalfLife

HALF_LIVES = (np.inf, 365.0, 90.0, 30.0, 7.0, 2.0)
"""Candidates in days; the first of equally good ones is used."""
EVERYONE = 0
"""The segment of users whose language is unknown or has no books."""


@dataclass(frozen=True)
class PopularityParams:
    """`half_life_days`: age at which an interaction counts half; `.inf` for no decay, None for the best of HALF_LIVES.

    The best one is chosen on held-out data (training/fitting.py); without held-out data there is no decay.
    """

    half_life_days: HalfLife | None = None


@dataclass(frozen=True)
class Popularity:
    """`languages[s]` is the language of segment s (empty for EVERYONE), `table[s, b]` the score of book b in it.

    A score is the book's weight relative to the most popular book's, plus 1 if it is in the segment's language. `half_life_days` is
    the one it was fitted with.
    """

    table: FloatArray
    languages: IdArray
    user_segment: IntArray
    name: str = "popularity"
    half_life_days: float = np.inf

    def scores(self, users: IntArray) -> FloatArray:
        """Scores of each user's segment."""
        return self.table[self.user_segment[users]]

    def fold_in(self, histories: Histories) -> FloatArray:
        """Scores of the segment EVERYONE, whatever was liked."""
        return np.repeat(self.table[[EVERYONE]], len(histories), axis=0)

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """Zeros: no liked book changes a score."""
        return np.zeros((len(history.books), len(books)), np.float32)

    def personal(self, users: IntArray) -> BoolArray:
        """Always False: all users of a language have the same scores."""
        return np.zeros(len(users), dtype=bool)

    def arrays(self) -> dict[str, AnyArray]:
        """All fields."""
        fields = {key: getattr(self, key) for key in ("table", "languages", "user_segment")}
        half_life = np.array([self.half_life_days])
        return fields | {"kind": np.array(["popularity"], dtype=object), "half_life_days": half_life}

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, AnyArray]) -> "Popularity":
        """Restore the model from `arrays()`."""
        half_life = float(arrays.get("half_life_days", np.array([np.inf]))[0])  # missing in older models
        return cls(arrays["table"], arrays["languages"], arrays["user_segment"], name, half_life)


def fit_popularity(data: Dataset, params: PopularityParams, *, name: str = "popularity") -> Popularity:
    """Sum the positive weights of each book's interactions, with newer ones counting more."""
    half_life = params.half_life_days or np.inf
    share = _share_of_best(_decayed_totals(data, half_life))
    spoken = sorted(set(data.book_language.tolist()) - {""})
    languages = np.array(["", *spoken], dtype=object)
    own = data.book_language[None, :] == languages[:, None]
    own[EVERYONE] = False
    segments = {language: number for number, language in enumerate(languages)}
    return Popularity(
        table=(share + own).astype(np.float32),
        languages=languages,
        user_segment=np.array([segments.get(language, EVERYONE) for language in data.user_language], dtype=np.int32),
        name=name,
        half_life_days=half_life,
    )


def _decayed_totals(data: Dataset, half_life: float) -> DoubleArray:
    rows = data.interactions
    weight = np.maximum(rows.weight, 0) * time_decay(rows.last_at, half_life_days=half_life)
    return np.bincount(rows.book, weights=weight, minlength=len(data.book_ids)).astype(np.float64)


def _share_of_best(totals: DoubleArray) -> DoubleArray:
    best = totals.max(initial=0)
    return totals / best if best > 0 else totals
