"""What every model can do.

Belongs here: the protocol, no implementation. Does not: fitting, which differs from model to model: each module has a
`fit_…` function from a data set and parameters.
"""

from typing import Protocol

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray


class Recommender(Protocol):
    """A fitted model; users and books are indices of the data set it was fitted on."""

    @property
    def name(self) -> str:
        """The name it is registered and published under."""

    def scores(self, users: IntArray) -> FloatArray:
        """A new array of shape (len(users), n_books): higher is better, comparable within a user only."""

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user's scores rest on what that user did, shape (len(users),)."""

    def arrays(self) -> dict[str, AnyArray]:
        """All that `scores` needs, by name; numbers, flags, or strings as objects."""
