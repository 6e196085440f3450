"""What every model can do.

Belongs here: the protocol, no implementation. Does not: fitting, which differs from model to model: each module has a
`fit_…` function from a data set and parameters.
"""

from typing import Protocol

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.histories import Histories


class Recommender(Protocol):
    """A fitted model; users and books are indices of the data set it was fitted on."""

    @property
    def name(self) -> str:
        """The name it is registered and published under."""

    def scores(self, users: IntArray) -> FloatArray:
        """A new array of shape (len(users), n_books): higher is better, comparable within a user only."""

    def fold_in(self, histories: Histories) -> FloatArray:
        """The same for readers who were not there, or liked more since: shape (len(histories), n_books), without training."""

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """What each book of one reader's history adds to the scores of some books, shape (books in the history, len(books))."""

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user's scores rest on what that user did, shape (len(users),)."""

    def arrays(self) -> dict[str, AnyArray]:
        """All that it needs, by name; numbers, flags, or strings as objects."""
