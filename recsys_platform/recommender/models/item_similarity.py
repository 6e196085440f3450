"""Models that know how books go together: a reader's scores are the sum of what the liked books say (Deshpande & Karypis 2004).

Belongs here: scoring by a matrix of books by books, whoever made it. Does not: how it is made (ease.py, sequence.py, item_knn.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.models.histories import Histories, ages_in_order, fading
from recsys_platform.recommender.models.scoring import add_rows, add_sparse_rows


@dataclass(frozen=True)
class ItemModel:
    """`similarity[i, j]`: how much having liked book `chosen[i]` speaks for book `chosen[j]`; other books have no say and score 0.

    Dense or sparse, shape (len(chosen),) * 2. `half_life`: of a liked book's say, in books liked since.
    """

    name: str
    similarity: FloatArray | Csr
    chosen: IntArray
    histories: Histories
    half_life: float

    def scores(self, users: IntArray) -> FloatArray:
        """The sum over each user's own history; a user's row does not depend on who else is asked for."""
        return self.fold_in(self.histories.take(users))

    def fold_in(self, histories: Histories) -> FloatArray:
        """The sum over each history; ModelError if they are about another catalogue."""
        histories.check_about(self.histories.n_books)
        scores = np.zeros((len(histories), len(self.chosen)), np.float32)
        said = (histories.starts, self._place[histories.books], fading(histories.age, self.half_life))
        if isinstance(self.similarity, np.ndarray):
            add_rows(*said, self.similarity, scores)
        else:
            add_sparse_rows(*said, self.similarity.data, self.similarity.indices, self.similarity.indptr, scores)
        return self._spread(scores)

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """The terms of that sum."""
        own, listed = self._place[history.books], self._place[books]
        rows, columns = np.maximum(own, 0), np.maximum(listed, 0)
        if isinstance(self.similarity, np.ndarray):
            terms = self.similarity[rows[:, None], columns]  # not [rows][:, columns]: that copies whole rows first
        else:
            terms = self.similarity[rows][:, columns].toarray()
        known = (own >= 0)[:, None] & (listed >= 0)[None, :]
        return np.asarray(terms * known * fading(history.age, self.half_life)[:, None], dtype=np.float32)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user liked a book that has a say in others."""
        return self._heard[users]

    def arrays(self) -> dict[str, AnyArray]:
        """The fields; a sparse matrix as its three arrays."""
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
    def restore(cls, name: str, arrays: Mapping[str, AnyArray]) -> "ItemModel":
        """The model of `arrays()`."""
        chosen = arrays["chosen"]
        return cls(
            name=name,
            similarity=_similarity(arrays, len(chosen)),
            chosen=chosen,
            histories=_histories(arrays),
            half_life=float(arrays["half_life"][0]),
        )

    @cached_property
    def _place(self) -> IntArray:
        """Where each book stands among the chosen ones, -1 if it is none of them."""
        place = np.full(self.histories.n_books, -1, np.int32)
        place[self.chosen] = np.arange(len(self.chosen), dtype=np.int32)
        return place

    @cached_property
    def _heard(self) -> BoolArray:
        return np.diff(self.histories.matrix()[:, self.chosen[self._speaks]].indptr) > 0

    @cached_property
    def _speaks(self) -> BoolArray:
        """Whether each chosen book says anything of another."""
        said: Any = self.similarity != 0
        of_others = np.asarray(said.sum(axis=1)).ravel() - np.asarray(said.diagonal(), dtype=np.int64)
        return np.asarray(of_others > 0)

    def _spread(self, scores: FloatArray) -> FloatArray:
        if len(self.chosen) == self.histories.n_books:
            return scores
        everything = np.zeros((len(scores), self.histories.n_books), np.float32)
        everything[:, self.chosen] = scores
        return everything


def _histories(arrays: Mapping[str, AnyArray]) -> Histories:
    starts = arrays["history_starts"]
    ages = arrays.get("history_ages")  # not there in models that were stored before books of one moment had one age
    age = ages_in_order(np.diff(starts)) if ages is None else ages
    return Histories(starts, arrays["history_books"], age, int(arrays["n_books"][0]))


def _similarity(arrays: Mapping[str, AnyArray], size: int) -> FloatArray | Csr:
    if "similarity" in arrays:
        return arrays["similarity"]
    parts = tuple(arrays[f"similarity_{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_array(parts, shape=(size, size))


def most_liked(histories: Histories, at_most: int) -> IntArray:
    """The books that were liked at all, the `at_most` most liked of them, ascending."""
    liked = np.bincount(histories.books, minlength=histories.n_books)
    best_first = np.argsort(-liked, kind="stable")[: min(at_most, int((liked > 0).sum()))]
    return np.sort(best_first).astype(np.int32)
