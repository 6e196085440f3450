"""Content-based similarity of books: TF-IDF over title, author and categories (Salton & Buckley 1988).

Belongs here: the metadata used and their weights. Does not: scoring (item_similarity.py), vectors of new books (content.py).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import Csr
from recsys_platform.recommender.data.dataset import Dataset, Features
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel
from recsys_platform.recommender.params import Count, HalfLife

PREFIXES = ("author=", "category=", "word=")
"""Features that distinguish books; too many books share a language or a period."""


@dataclass(frozen=True)
class ContentSimilarityParams:
    """`neighbours`: kept per book. `half_life`: of a liked book's weight, in books liked since."""

    neighbours: Count = 200
    half_life: HalfLife = 50.0


def fit_content_similarity(
    data: Dataset, params: ContentSimilarityParams, *, name: str = "content"
) -> ItemSimilarityModel:
    """Compute each book's nearest books by TF-IDF, including books without likes.

    Raises NothingToLearnError if there are no likes, or no two books share a word, an author or a category.
    """
    from implicit.nearest_neighbours import CosineRecommender  # slow import, only needed for training

    histories, terms = histories_of(data), tf_idf(data)
    if not (len(histories.books) and terms.nnz):
        raise NothingToLearnError(
            "Nobody liked a book yet, or no two books share a word of the title, an author or a category: "
            "content similarity cannot be trained. Load more events, and the attributes of books."
        )
    model = CosineRecommender(K=params.neighbours + 1, num_threads=0)  # a book is its own nearest neighbour
    with warnings.catch_warnings():  # implicit warns of its own conversion
        warnings.simplefilter("ignore")
        model.fit(sparse.csr_matrix(terms.T), show_progress=False)
    similarity = sparse.csr_array(model.similarity, dtype=np.float32)
    chosen = np.arange(len(data.book_ids), dtype=np.int32)
    return ItemSimilarityModel(name, similarity, chosen, histories, params.half_life)


def tf_idf(data: Dataset) -> Csr:
    """Return the TF-IDF matrix (n_books, n_terms): smoothed IDF where a book has a term, else 0."""
    matrix = sparse.csr_array(
        sparse.hstack([_term_matrix(data.book_features), _term_matrix(data.book_words)], format="csr")
    )
    books_of_term = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rarity = 1 + np.log((1 + matrix.shape[0]) / (1 + books_of_term))
    return sparse.csr_array((rarity[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)


def _term_matrix(features: Features) -> Csr:
    columns = [column for column, name in enumerate(features.names) if name.startswith(PREFIXES)]
    return sparse.csr_array(features.matrix[:, columns])
