"""Books that are alike by their metadata, whoever liked them: TF-IDF over title, author and categories (Salton & Buckley 1988).

Belongs here: which metadata count, how much. Does not: scoring (items.py), vectors of new books for other models (content.py).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import Csr
from recsys_platform.recommender.data.dataset import Dataset, Features
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.item_similarity import ItemModel
from recsys_platform.recommender.params import Count, HalfLife

PREFIXES = ("author=", "category=", "word=")
"""Features that tell books apart; a language or a period is shared by too many."""


@dataclass(frozen=True)
class ContentSimilarityParams:
    """`neighbours` kept of each book. `half_life`: of a liked book's say, in books liked since."""

    neighbours: Count = 200
    half_life: HalfLife = 50.0


def fit_content_similarity(data: Dataset, params: ContentSimilarityParams, *, name: str = "content") -> ItemModel:
    """The books nearest to each by TF-IDF, books that nobody liked yet among them.

    NothingToLearnError if nobody liked anything or no two books share a word, an author or a category.
    """
    from implicit.nearest_neighbours import CosineRecommender  # takes a while to import, and only training needs it

    histories, terms = histories_of(data), tf_idf(data)
    if not (len(histories.books) and terms.nnz):
        raise NothingToLearnError(
            "Nobody liked a book yet, or no two books share a word of the title, an author or a category: "
            "there is nothing to compare. Load more events, and the attributes of books."
        )
    model = CosineRecommender(K=params.neighbours + 1, num_threads=0)  # a book is its own nearest neighbour
    with warnings.catch_warnings():  # it warns of a conversion that it makes itself
        warnings.simplefilter("ignore")
        model.fit(sparse.csr_matrix(terms.T), show_progress=False)
    similarity = sparse.csr_array(model.similarity, dtype=np.float32)
    chosen = np.arange(len(data.book_ids), dtype=np.int32)
    return ItemModel(name, similarity, chosen, histories, params.half_life)


def tf_idf(data: Dataset) -> Csr:
    """Books by terms: 1 + the logarithm of how rare a term is where a book has it, 0 elsewhere."""
    matrix = sparse.csr_array(sparse.hstack([_terms(data.book_features), _terms(data.book_words)], format="csr"))
    books_of_term = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rarity = 1 + np.log((1 + matrix.shape[0]) / (1 + books_of_term))
    return sparse.csr_array((rarity[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)


def _terms(features: Features) -> Csr:
    columns = [column for column, name in enumerate(features.names) if name.startswith(PREFIXES)]
    return sparse.csr_array(features.matrix[:, columns])
