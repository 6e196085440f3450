"""Fallback: a personal model for readers with history, cold start for all others, a mix for short histories.

Belongs here: the choice between the two models, per reader. Does not: the models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.blend import weighted_sum
from recsys_platform.recommender.models.cold_start import ColdStartModel
from recsys_platform.recommender.models.histories import Histories
from recsys_platform.recommender.models.protocol import Recommender

PREFIX = "fallback."
PRIOR_BOOKS = 0.5
"""Weight of the prior, in liked books. A larger value would give folded-in readers worse lists than trained ones."""


@dataclass(frozen=True)
class Readers:
    """Readers at request time, in the training data or not: histories, languages and interests (empty if unknown)."""

    histories: Histories
    languages: Sequence[str] = ()
    interests: Sequence[Sequence[str]] = field(default=())


def without_fallback(model: Recommender) -> Recommender:
    """Return the model without its fallback, if it has one."""
    return model.model if isinstance(model, WithFallback) else model


@dataclass(frozen=True)
class WithFallback:
    """`model` for users it knows, `fallback` for all others. Has the name of the model."""

    model: Recommender
    fallback: ColdStartModel

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def scores(self, users: IntArray) -> FloatArray:
        """Scores by the model that applies to each user; the two have different scales."""
        personal = self.personal(users)
        if personal.all():
            return self.model.scores(users)
        scores = self.fallback.scores(users)
        scores[personal] = self.model.scores(users[personal])
        return scores

    def fold_in(self, histories: Histories) -> FloatArray:
        """As `scores_of`, for readers without language and interests."""
        return self.scores_of(Readers(histories))

    def scores_of(self, readers: Readers) -> FloatArray:
        """Scores without training, shape (n_readers, n_books); short histories are shrunk to the fallback.

        With n liked books the weight of the model's fold-in is n / (n + PRIOR_BOOKS), the rest is the fallback's; both standardized.
        """
        count = len(readers.histories)
        languages, interests = readers.languages or [""] * count, readers.interests or [()] * count
        prior = self.fallback.scores_for_readers(languages, interests)
        share = (readers.histories.lengths / (readers.histories.lengths + PRIOR_BOOKS)).astype(np.float32)
        return weighted_sum([(self.model.fold_in(readers.histories), share), (prior, 1 - share)])

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """Contributions of the model."""
        return self.model.contributions(history, books)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether the model knows each user."""
        return self.model.personal(users)

    def arrays(self) -> dict[str, AnyArray]:
        """The arrays of both models; those of the fallback have a prefix."""
        return self.model.arrays() | {PREFIX + name: array for name, array in self.fallback.arrays().items()}
