"""A fitted model together with the ids that its rows and columns stand for.

Belongs here: what is registered as one version and how it is made whole again. Does not: where it is kept
(registry.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, IdArray
from recsys_platform.recommender.dataset import Dataset
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.models.fallback import PREFIX, WithFallback
from recsys_platform.recommender.models.lightfm import LightFMModel
from recsys_platform.recommender.models.popularity import Popularity
from recsys_platform.recommender.models.protocol import Recommender

KINDS: dict[str, Any] = {"popularity": Popularity, "lightfm": LightFMModel}


@dataclass(frozen=True)
class TrainedModel:
    """`user_ids[i]` and `book_ids[j]` are the user and book of `model`'s indices i and j."""

    model: Recommender
    user_ids: IdArray
    book_ids: IdArray

    def arrays(self) -> dict[str, AnyArray]:
        """Everything, as arrays to be stored."""
        return self.model.arrays() | {"user_ids": self.user_ids, "book_ids": self.book_ids}

    def check_fits(self, data: Dataset) -> None:
        """Raise ModelError unless the data set has the same users and books at the same indices."""
        for what, mine, theirs in (
            ("users", self.user_ids, data.user_ids),
            ("books", self.book_ids, data.book_ids),
        ):
            if not np.array_equal(mine, theirs):
                raise ModelError(
                    f"The model {self.model.name} was trained on other {what} ({len(mine)}) than the data set has "
                    f"({len(theirs)}). Train it again on this data set."
                )


def restore(name: str, arrays: Mapping[str, AnyArray]) -> TrainedModel:
    """The trained model of that name from what `TrainedModel.arrays` gave; ModelError if they do not fit together."""
    own = {key: array for key, array in arrays.items() if not key.startswith(PREFIX) and not key.endswith("_ids")}
    fallback = {key.removeprefix(PREFIX): array for key, array in arrays.items() if key.startswith(PREFIX)}
    try:
        model: Recommender = KINDS[name](**own)
        model = WithFallback(model, Popularity(**fallback)) if fallback else model
        return TrainedModel(model, arrays["user_ids"], arrays["book_ids"])
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"The stored arrays are not those of a model named {name}: {error}. Train it again."
        ) from error
