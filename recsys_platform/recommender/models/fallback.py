"""A personal model for those it knows, popularity for everyone else.

Belongs here: the choice between two models, user by user. Does not: either of the models.
"""

from dataclasses import dataclass

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.protocol import Recommender

PREFIX = "fallback_"


@dataclass(frozen=True)
class WithFallback:
    """`model`, except for users whom it does not know: they get `fallback`. Goes by the model's name."""

    model: Recommender
    fallback: Recommender

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

    def personal(self, users: IntArray) -> BoolArray:
        """Whether the model knows each user."""
        return self.model.personal(users)

    def arrays(self) -> dict[str, AnyArray]:
        """Both models' arrays, the fallback's with a prefix."""
        return self.model.arrays() | {PREFIX + name: array for name, array in self.fallback.arrays().items()}
