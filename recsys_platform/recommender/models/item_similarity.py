"""Item-similarity models: a reader's scores are sums over the liked books (Deshpande & Karypis 2004).

Belongs here: scoring by an item-item matrix. Does not: fitting the matrix (ease.py, sequence.py, item_knn.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.models.histories import Histories, ages_in_order, rank_decay
from recsys_platform.recommender.models.scoring import (
    add_rows,
    add_sparse_rows,
    place_columns,
    weighted_entries,
    weighted_sparse_entries,
)


@dataclass(frozen=True)
class ItemSimilarityModel:
    """`similarity[i, j]`: weight of liked book `chosen[i]` in the score of book `chosen[j]`; books outside `chosen` score 0.

    Dense or sparse, shape (len(chosen), len(chosen)). `half_life`: of a liked book's weight, in books liked since.
    """

    name: str
    similarity: FloatArray | Csr
    chosen: IntArray
    histories: Histories
    half_life: float

    def scores(self, users: IntArray) -> FloatArray:
        """Sums over each user's history; independent of the other users in the batch."""
        return self.fold_in(self.histories.take(users))

    def fold_in(self, histories: Histories) -> FloatArray:
        """Sums over each history. ModelError if they are about another item catalog."""
        histories.check_catalog_size(self.histories.n_books)
        scores = np.zeros((len(histories), len(self.chosen)), np.float32)
        entries = (
            histories.starts,
            self._index_among_chosen[histories.books],
            rank_decay(histories.age, self.half_life),
        )
        if isinstance(self.similarity, np.ndarray):
            add_rows(*entries, self.similarity, scores)
        else:
            add_sparse_rows(*entries, self.similarity.data, self.similarity.indices, self.similarity.indptr, scores)
        return self._expand_to_all_books(scores)

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """The terms of the sum."""
        own, listed = self._index_among_chosen[history.books], self._index_among_chosen[books]
        weights = rank_decay(history.age, self.half_life)
        if isinstance(self.similarity, np.ndarray):
            return weighted_entries(own, listed, weights, self.similarity)
        parts = (self.similarity.data, self.similarity.indices, self.similarity.indptr)
        return weighted_sparse_entries(own, listed, weights, *parts)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user liked a book that has weight in the score of another."""
        return self._has_scored_history[users]

    def arrays(self) -> dict[str, AnyArray]:
        """All fields; a sparse matrix as its three arrays."""
        similarity = (
            {f"similarity_{part}": getattr(self.similarity, part) for part in ("data", "indices", "indptr")}
            if sparse.issparse(self.similarity)
            else {"similarity": self.similarity}
        )
        return similarity | {
            "kind": np.array(["items"], dtype=object),
            "chosen": self.chosen,
            "history_starts": self.histories.starts,
            "history_books": self.histories.books,
            "history_ages": self.histories.age,
            "n_books": np.array([self.histories.n_books]),
            "half_life": np.array([self.half_life]),
        }

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, AnyArray]) -> "ItemSimilarityModel":
        """Restore the model from `arrays()`."""
        chosen = arrays["chosen"]
        return cls(
            name=name,
            similarity=_restore_similarity(arrays, len(chosen)),
            chosen=chosen,
            histories=_restore_histories(arrays),
            half_life=float(arrays["half_life"][0]),
        )

    @cached_property
    def _index_among_chosen(self) -> IntArray:
        """Index of each book in `chosen`, -1 if it is not there."""
        place = np.full(self.histories.n_books, -1, np.int32)
        place[self.chosen] = np.arange(len(self.chosen), dtype=np.int32)
        return place

    @cached_property
    def _has_scored_history(self) -> BoolArray:
        return np.diff(self.histories.matrix()[:, self.chosen[self._has_neighbours]].indptr) > 0

    @cached_property
    def _has_neighbours(self) -> BoolArray:
        """Whether each chosen book has weight in the score of another."""
        entries: Any = self.similarity != 0
        other_books = np.asarray(entries.sum(axis=1)).ravel() - np.asarray(entries.diagonal(), dtype=np.int64)
        return np.asarray(other_books > 0)

    def _expand_to_all_books(self, scores: FloatArray) -> FloatArray:
        if len(self.chosen) == self.histories.n_books:
            return scores
        everything = np.zeros((len(scores), self.histories.n_books), np.float32)
        place_columns(scores, self.chosen, everything)
        return everything


def _restore_histories(arrays: Mapping[str, AnyArray]) -> Histories:
    starts = arrays["history_starts"]
    ages = arrays.get("history_ages")  # missing in older models, in which books of the same time had different ages
    age = ages_in_order(np.diff(starts)) if ages is None else ages
    return Histories(starts, arrays["history_books"], age, int(arrays["n_books"][0]))


def _restore_similarity(arrays: Mapping[str, AnyArray], size: int) -> FloatArray | Csr:
    if "similarity" in arrays:
        return arrays["similarity"]
    parts = tuple(arrays[f"similarity_{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_array(parts, shape=(size, size))


def most_liked(histories: Histories, at_most: int) -> IntArray:
    """Return the `at_most` most liked books with at least one like, ascending."""
    liked = np.bincount(histories.books, minlength=histories.n_books)
    best_first = np.argsort(-liked, kind="stable")[: min(at_most, int((liked > 0).sum()))]
    return np.sort(best_first).astype(np.int32)
