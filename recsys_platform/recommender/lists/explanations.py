"""Because of which finished book another one is recommended.

Belongs here: the choice among a reader's books, from what the model says each of them adds. Does not: what they add (models/), the
words for it (the app's).
"""

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.models.histories import Histories, histories_of
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import NONE, Ranked


class Explainer:
    """Explains lists of a model by the readers' own books in a data set."""

    def __init__(self, model: Recommender, data: Dataset) -> None:
        self.model = model
        self.histories = histories_of(data)
        self.finished = _finished(data, self.histories)

    def because(self, ranked: Ranked) -> IntArray:
        """For each listed book the finished one that adds most to its score, NONE where none does; shape of `ranked.books`."""
        found = np.full(ranked.books.shape, NONE, np.int32)
        for place in np.flatnonzero(self.model.personal(ranked.rows)):
            found[place] = self._of(int(ranked.rows[place]), ranked.books[place])
        return found

    def _of(self, reader: int, books: IntArray) -> IntArray:
        start, stop = self.histories.starts[reader : reader + 2]
        finished = self.finished[start:stop]
        if not finished.any():
            return np.full(len(books), NONE, np.int32)
        added = self.model.contributions(self.histories.take(np.array([reader])), np.maximum(books, 0))[finished]
        best = added.argmax(axis=0)
        explained = (np.take_along_axis(added, best[None, :], axis=0)[0] > 0) & (books != NONE)
        return np.where(explained, self.histories.books[start:stop][finished][best], NONE).astype(np.int32)


def _finished(data: Dataset, histories: Histories) -> BoolArray:
    """Which books of the histories their reader finished, in the order of `histories.books`."""
    rows = data.interactions
    n_books = np.int64(len(data.book_ids))
    keys = rows.user[rows.finished] * n_books + rows.book[rows.finished]
    return np.isin(histories.reader * n_books + histories.books, keys)
