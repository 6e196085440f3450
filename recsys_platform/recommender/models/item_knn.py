"""Item-based nearest neighbours, by the weighted overlap of readers; computed by `implicit`.

Belongs here: weighting and number of neighbours. Does not: scoring (item_similarity.py).
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel, most_liked
from recsys_platform.recommender.params import Count, HalfLife, NotNegative, UpToOne

Weighting = Literal["cosine", "tfidf", "bm25"]


@dataclass(frozen=True)
class ItemKnnParams:
    """`neighbours`: kept per book. `k1`, `b`: of BM25, with readers as documents. `half_life`: in books liked since."""

    weighting: Weighting = "tfidf"
    neighbours: Count = 400
    k1: NotNegative = 1.2
    b: UpToOne = 0.5
    half_life: HalfLife = 50.0


def fit_item_knn(data: Dataset, params: ItemKnnParams, *, name: str = "item_knn") -> ItemSimilarityModel:
    """Compute the nearest neighbours of each book. Raises NothingToLearnError if there are no likes."""
    histories = histories_of(data)
    chosen = most_liked(histories, histories.n_books)
    if not len(chosen):
        raise NothingToLearnError("Nobody liked a book yet: there are no neighbours to find. Load more events first.")
    model = _implicit_model(params)
    with warnings.catch_warnings():  # implicit warns of its own conversion
        warnings.simplefilter("ignore")
        model.fit(sparse.csr_matrix(histories.matrix()[:, chosen]), show_progress=False)
    similarity = sparse.csr_array(model.similarity, dtype=np.float32)
    similarity.data[~np.isfinite(similarity.data)] = 0  # 0 / 0: a book's only readers liked nearly every book
    return ItemSimilarityModel(name, similarity, chosen, histories, params.half_life)


def _implicit_model(params: ItemKnnParams) -> Any:
    from implicit import nearest_neighbours as near  # slow import, only needed for training

    size = {"K": params.neighbours + 1, "num_threads": 0}  # a book is its own nearest neighbour
    if params.weighting == "bm25":
        return near.BM25Recommender(K1=params.k1, B=params.b, **size)
    return {"cosine": near.CosineRecommender, "tfidf": near.TFIDFRecommender}[params.weighting](**size)
