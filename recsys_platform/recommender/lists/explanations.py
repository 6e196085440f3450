"""Explanations: the finished book because of which another book is recommended.

Belongs here: choosing one of the reader's books by its contribution to the score. Does not: contributions (models/), the wording
(the app).
"""

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.models.histories import Histories, histories_of
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import NONE, Ranked


class Explainer:
    """Explains lists of a model by the readers' finished books."""

    def __init__(self, model: Recommender, data: Dataset) -> None:
        self.model = model
        self.histories = histories_of(data)
        self.finished = _finished_flags(data, self.histories)

    def because(self, ranked: Ranked) -> IntArray:
        """Return, per listed book, the finished book that contributes most to its score, or NONE; shape of `ranked.books`."""
        found = np.full(ranked.books.shape, NONE, np.int32)
        for place in np.flatnonzero(self.model.personal(ranked.rows)):
            found[place] = self._explain_list(int(ranked.rows[place]), ranked.books[place])
        return found

    def _explain_list(self, reader: int, books: IntArray) -> IntArray:
        start, stop = self.histories.starts[reader : reader + 2]
        finished = self.finished[start:stop]
        if not finished.any():
            return np.full(len(books), NONE, np.int32)
        added = self.model.contributions(self.histories.take(np.array([reader])), np.maximum(books, 0))[finished]
        best = added.argmax(axis=0)
        explained = (np.take_along_axis(added, best[None, :], axis=0)[0] > 0) & (books != NONE)
        return np.where(explained, self.histories.books[start:stop][finished][best], NONE).astype(np.int32)


def _finished_flags(data: Dataset, histories: Histories) -> BoolArray:
    """Flags of finished books, in the order of `histories.books`."""
    rows = data.interactions
    n_books = np.int64(len(data.book_ids))
    keys = rows.user[rows.finished] * n_books + rows.book[rows.finished]
    return np.isin(histories.reader * n_books + histories.books, keys)
