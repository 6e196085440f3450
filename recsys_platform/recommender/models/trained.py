"""A fitted model together with the ids that its rows and columns stand for.

Belongs here: what is registered as one version and how it is made whole again. Does not: where it is kept
(registry/versions.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, IdArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.models.blend import Blend
from recsys_platform.recommender.models.cold_start import Newcomers
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fallback import PREFIX, WithFallback
from recsys_platform.recommender.models.item_similarity import ItemModel
from recsys_platform.recommender.models.popularity import Popularity
from recsys_platform.recommender.models.protocol import Recommender

KINDS: Mapping[str, Callable[[str, Mapping[str, AnyArray]], Recommender]] = {
    "popularity": Popularity.restore,
    "factors": FactorModel.restore,
    "items": ItemModel.restore,
}


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
    try:
        model = _model(name, {key: array for key, array in arrays.items() if not key.startswith(PREFIX)})
        fallback = _part(arrays, PREFIX)
        model = WithFallback(model, Newcomers.restore(fallback)) if fallback else model
        return TrainedModel(model, arrays["user_ids"], arrays["book_ids"])
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"The stored arrays are not those of a model named {name}: {error}. Train it again."
        ) from error


def _model(name: str, arrays: Mapping[str, AnyArray]) -> Recommender:
    kind = str(arrays["kind"][0])
    if kind != "blend":
        return KINDS[kind](name, arrays)
    parts = tuple(_model(part, _part(arrays, f"{part}.")) for part in arrays["components"])
    return Blend(name, parts, arrays["weights"], arrays["scales"])


def _part(arrays: Mapping[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
