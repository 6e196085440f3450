"""The protocol of all models.

Belongs here: the protocol, no implementation. Does not: fitting; each model's module has a `fit_…` function that takes a data set and
parameters.
"""

from typing import Protocol

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.histories import Histories


class Recommender(Protocol):
    """A fitted model; users and books are indexes of the data set it was fitted on."""

    @property
    def name(self) -> str:
        """The name under which it is registered and published."""

    def scores(self, users: IntArray) -> FloatArray:
        """Return scores in a new array of shape (len(users), n_books); higher is better, comparable only within a user."""

    def fold_in(self, histories: Histories) -> FloatArray:
        """Return scores for any histories without training, shape (len(histories), n_books)."""

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """Return what each book of one reader's history adds to the scores of `books`, shape (books in the history, len(books))."""

    def personal(self, users: IntArray) -> BoolArray:
        """Return whether each user's scores depend on that user's history, shape (len(users),)."""

    def arrays(self) -> dict[str, AnyArray]:
        """Return all fields as arrays, by name: numbers, flags, or strings as objects."""
