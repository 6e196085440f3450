"""A personal model for those it knows, language and interests for everyone else, and something between for those just met.

Belongs here: the choice between two models, reader by reader. Does not: either of the models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.blend import weighted_sum
from recsys_platform.recommender.models.cold_start import Newcomers
from recsys_platform.recommender.models.histories import Histories
from recsys_platform.recommender.models.protocol import Recommender

PREFIX = "fallback."
PRIOR_BOOKS = 0.5
"""How many liked books the prior is worth; more would make readers met lately worse off than those trained on."""


@dataclass(frozen=True)
class Readers:
    """Readers as they are now, known to training or not: what they liked, and what else is known of each (empty if nothing)."""

    histories: Histories
    languages: Sequence[str] = ()
    interests: Sequence[Sequence[str]] = field(default=())


def bare(model: Recommender) -> Recommender:
    """The model without its fallback, if it has one."""
    return model.model if isinstance(model, WithFallback) else model


@dataclass(frozen=True)
class WithFallback:
    """`model`, except for users whom it does not know: they get `fallback`. Goes by the model's name."""

    model: Recommender
    fallback: Newcomers

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    def scores(self, users: IntArray) -> FloatArray:
        """Each user's scores by the model that applies; the two scales differ."""
        personal = self.personal(users)
        if personal.all():
            return self.model.scores(users)
        scores = self.fallback.scores(users)
        scores[personal] = self.model.scores(users[personal])
        return scores

    def fold_in(self, histories: Histories) -> FloatArray:
        """As `scores_of`, for readers of whom no more is known."""
        return self.scores_of(Readers(histories))

    def scores_of(self, readers: Readers) -> FloatArray:
        """Scores without training, drawn to the prior by histories that are short, shape (n_readers, n_books).

        With n liked books, n / (n + PRIOR_BOOKS) of the model's fold-in and the rest of the fallback, both standardized.
        """
        count = len(readers.histories)
        languages, interests = readers.languages or [""] * count, readers.interests or [()] * count
        prior = self.fallback.of_readers(languages, interests)
        share = (readers.histories.lengths / (readers.histories.lengths + PRIOR_BOOKS)).astype(np.float32)
        return weighted_sum([(self.model.fold_in(readers.histories), share), (prior, 1 - share)])

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """The model's."""
        return self.model.contributions(history, books)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether the model knows each user."""
        return self.model.personal(users)

    def arrays(self) -> dict[str, AnyArray]:
        """Both models' arrays, the fallback's with a prefix."""
        return self.model.arrays() | {PREFIX + name: array for name, array in self.fallback.arrays().items()}
