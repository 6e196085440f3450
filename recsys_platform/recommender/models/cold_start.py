"""What to offer to readers of whom only language and interests are known: what is popular, of these first.

Belongs here: the model for readers without history, and the prior that short histories are drawn to. Does not: the choice between
it and a personal model (fallback.py), popularity as a rival to beat (popularity.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IdArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset, Features
from recsys_platform.recommender.models.popularity import EVERYONE, Popularity
from recsys_platform.recommender.models.scoring import add_rows

INTEREST, CATEGORY = "interest=", "category="
_NONE = np.empty(0, np.int32)


@dataclass(frozen=True)
class Newcomers:
    """Popularity, and up to 1 more for the share of the reader's interests that a book serves.

    `topics`: names that are both an interest and a category, sorted. `book_topics` (n_books, n_topics) and `user_topics` (n_users,
    n_topics) are 1 where a book or a user has one.
    """

    popularity: Popularity
    topics: IdArray
    book_topics: Csr
    user_topics: Csr

    name = "newcomers"

    def scores(self, users: IntArray) -> FloatArray:
        """By each user's language and interests."""
        topics = self.user_topics[users]
        return self._with_interests(self.popularity.scores(users), topics.indptr, topics.indices)

    def of_readers(self, languages: Sequence[str], interests: Sequence[Sequence[str]]) -> FloatArray:
        """The same for readers whom no data set knows; an unknown language or interest has no effect."""
        segments = np.array([self._segments.get(language, EVERYONE) for language in languages], dtype=np.int32)
        topics = [self._topics_of(some) for some in interests]
        starts = np.cumsum([0, *map(len, topics)], dtype=np.int32)
        return self._with_interests(self.popularity.table[segments], starts, np.concatenate([*topics, _NONE]))

    def personal(self, users: IntArray) -> BoolArray:
        """Never: it does not rest on what anybody did."""
        return np.zeros(len(users), dtype=bool)

    def arrays(self) -> dict[str, AnyArray]:
        """Popularity's arrays, the topics, and where they are."""
        return self.popularity.arrays() | {
            "topics": self.topics,
            "book_topics": np.asarray(self.book_topics.toarray(), dtype=bool),
            "user_topics": np.asarray(self.user_topics.toarray(), dtype=bool),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, AnyArray]) -> "Newcomers":
        """The model of `arrays()`."""
        popularity = Popularity.restore("popularity", arrays)
        book_topics, user_topics = (
            sparse.csr_array(arrays[name].astype(np.float32)) for name in ("book_topics", "user_topics")
        )
        return cls(popularity, arrays["topics"], book_topics, user_topics)

    @cached_property
    def _segments(self) -> dict[str, int]:
        return {language: number for number, language in enumerate(self.popularity.languages)}

    @cached_property
    def _place(self) -> dict[str, int]:
        return {topic: number for number, topic in enumerate(self.topics)}

    @cached_property
    def _serving(self) -> FloatArray:
        """Which books serve each topic, a row a topic."""
        return np.ascontiguousarray(self.book_topics.toarray().T, dtype=np.float32)

    def _topics_of(self, interests: Sequence[str]) -> IntArray:
        names = {each.strip().lower() for each in interests}
        return np.array(sorted(self._place[name] for name in names & self._place.keys()), dtype=np.int32)

    def _with_interests(self, scores: FloatArray, starts: IntArray, topics: IntArray) -> FloatArray:
        """`scores` and more for `topics[starts[i]:starts[i + 1]]` of each reader i."""
        wanted = np.diff(starts)
        add_rows(starts, topics, np.repeat(1 / np.maximum(wanted, 1), wanted).astype(np.float32), self._serving, scores)
        return scores


def fit_newcomers(data: Dataset, popularity: Popularity) -> Newcomers:
    """Interests and categories of the data set's features, matched by name."""
    interests, categories = _names(data.user_features, INTEREST), _names(data.book_features, CATEGORY)
    topics = sorted(interests.keys() & categories.keys())
    return Newcomers(
        popularity,
        np.array(topics, dtype=object),
        _where(data.book_features, [categories[topic] for topic in topics]),
        _where(data.user_features, [interests[topic] for topic in topics]),
    )


def _names(features: Features, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): at for at, name in enumerate(features.names) if name.startswith(prefix)}


def _where(features: Features, columns: list[int]) -> Csr:
    chosen: Csr = features.matrix[:, columns]
    return sparse.csr_array((np.ones(chosen.nnz, np.float32), chosen.indices, chosen.indptr), shape=chosen.shape)
