"""A trained model: a fitted model with the ids of its users and books.

Belongs here: the content of one version, and restoring it. Does not: storage (registry/versions.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, IdArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.models.blend import Blend
from recsys_platform.recommender.models.cold_start import ColdStartModel
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fallback import PREFIX, WithFallback
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel
from recsys_platform.recommender.models.popularity import Popularity
from recsys_platform.recommender.models.protocol import Recommender

READER_ARRAYS = ("user_vectors", "known", "user_segment", "user_topics", "history_books", "history_ages")
"""Arrays with a row for each reader, or for each of a reader's books."""
HISTORY_STARTS = "history_starts"
RESTORE_FUNCTIONS: Mapping[str, Callable[[str, Mapping[str, AnyArray]], Recommender]] = {
    "popularity": Popularity.restore,
    "factors": FactorModel.restore,
    "items": ItemSimilarityModel.restore,
}


@dataclass(frozen=True)
class TrainedModel:
    """`user_ids[i]` and `book_ids[j]` are the ids of the indexes i and j of `model`."""

    model: Recommender
    user_ids: IdArray
    book_ids: IdArray

    def arrays(self) -> dict[str, AnyArray]:
        """Return everything to be stored, as arrays."""
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


def without_readers(arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """Return the arrays of a trained model with no reader in them: it then answers for histories alone, with the same scores."""
    return {name: _without_reader_rows(name, array) for name, array in arrays.items()}


def _without_reader_rows(name: str, array: AnyArray) -> AnyArray:
    field = name.rpartition(".")[2]
    if field == HISTORY_STARTS:
        return array[:1]
    return array[:0] if field in (*READER_ARRAYS, "user_ids") else array


def restore(name: str, arrays: Mapping[str, AnyArray]) -> TrainedModel:
    """Restore a trained model from `TrainedModel.arrays`. ModelError if the arrays are inconsistent."""
    try:
        model = _restore_model(name, {key: array for key, array in arrays.items() if not key.startswith(PREFIX)})
        fallback = _arrays_with_prefix(arrays, PREFIX)
        model = WithFallback(model, ColdStartModel.restore(fallback)) if fallback else model
        return TrainedModel(model, arrays["user_ids"], arrays["book_ids"])
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"The stored arrays are not those of a model named {name}: {error}. Train it again."
        ) from error


def _restore_model(name: str, arrays: Mapping[str, AnyArray]) -> Recommender:
    kind = str(arrays["kind"][0])
    if kind != "blend":
        return RESTORE_FUNCTIONS[kind](name, arrays)
    parts = tuple(_restore_model(part, _arrays_with_prefix(arrays, f"{part}.")) for part in arrays["components"])
    return Blend(name, parts, arrays["weights"], arrays["scales"])


def _arrays_with_prefix(arrays: Mapping[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
