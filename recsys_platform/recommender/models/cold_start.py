"""Cold start: popularity by language and interests, for readers without history.

Belongs here: the model for readers without history, which is also the prior for short histories. Does not: the choice between it and
a personal model (fallback.py), popularity as a baseline (popularity.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IdArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset, Features
from recsys_platform.recommender.models.popularity import EVERYONE, Popularity
from recsys_platform.recommender.models.scoring import add_rows

INTEREST, CATEGORY = "interest=", "category="


@dataclass(frozen=True)
class ColdStartModel:
    """Popularity plus up to 1 for the share of the reader's interests that a book matches.

    `topics`: names that are both an interest and a category, sorted. `book_topics` (n_books, n_topics) and `user_topics` (n_users,
    n_topics) are 1 if a book or a user has the topic.
    """

    popularity: Popularity
    topics: IdArray
    book_topics: Csr
    user_topics: Csr

    name = "cold_start"

    def scores(self, users: IntArray) -> FloatArray:
        """Scores by each user's language and interests."""
        topics = self.user_topics[users]
        return self._with_interests(self.popularity.scores(users), topics.indptr, topics.indices)

    def scores_for_readers(self, languages: Sequence[str], interests: Sequence[Sequence[str]]) -> FloatArray:
        """Scores for readers outside the data set; an unknown language or interest has no effect."""
        segments = [self._segment_by_language.get(language, EVERYONE) for language in languages]
        scores = self.popularity.table.take(segments, axis=0)
        topics = [self._topics_of(some) for some in interests]
        if not any(topics):
            return scores
        starts = np.cumsum([0, *map(len, topics)], dtype=np.int32)
        return self._with_interests(scores, starts, np.array(list(chain.from_iterable(topics)), np.int32))

    def personal(self, users: IntArray) -> BoolArray:
        """Always False: the scores do not depend on any history."""
        return np.zeros(len(users), dtype=bool)

    def arrays(self) -> dict[str, AnyArray]:
        """The arrays of popularity, and the topics of books and users."""
        return self.popularity.arrays() | {
            "topics": self.topics,
            "book_topics": np.asarray(self.book_topics.toarray(), dtype=bool),
            "user_topics": np.asarray(self.user_topics.toarray(), dtype=bool),
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, AnyArray]) -> "ColdStartModel":
        """Restore the model from `arrays()`."""
        popularity = Popularity.restore("popularity", arrays)
        book_topics, user_topics = (
            sparse.csr_array(arrays[name].astype(np.float32)) for name in ("book_topics", "user_topics")
        )
        return cls(popularity, arrays["topics"], book_topics, user_topics)

    @cached_property
    def _segment_by_language(self) -> dict[str, int]:
        return {language: number for number, language in enumerate(self.popularity.languages)}

    @cached_property
    def _topic_index(self) -> dict[str, int]:
        return {topic: number for number, topic in enumerate(self.topics)}

    @cached_property
    def _books_by_topic(self) -> FloatArray:
        """The books of each topic, one row per topic."""
        return np.ascontiguousarray(self.book_topics.toarray().T, dtype=np.float32)

    def _topics_of(self, interests: Sequence[str]) -> list[int]:
        names = {each.strip().lower() for each in interests}
        return sorted(self._topic_index[name] for name in names & self._topic_index.keys())

    def _with_interests(self, scores: FloatArray, starts: IntArray, topics: IntArray) -> FloatArray:
        """`scores` plus the bonus for `topics[starts[i]:starts[i + 1]]` of each reader i."""
        wanted = np.diff(starts)
        add_rows(
            starts,
            topics,
            np.repeat(1 / np.maximum(wanted, 1), wanted).astype(np.float32),
            self._books_by_topic,
            scores,
        )
        return scores


def fit_cold_start(data: Dataset, popularity: Popularity) -> ColdStartModel:
    """Build the model: match interests and categories of the data set's features by name."""
    interests, categories = (
        _features_with_prefix(data.user_features, INTEREST),
        _features_with_prefix(data.book_features, CATEGORY),
    )
    topics = sorted(interests.keys() & categories.keys())
    return ColdStartModel(
        popularity,
        np.array(topics, dtype=object),
        _feature_flags(data.book_features, [categories[topic] for topic in topics]),
        _feature_flags(data.user_features, [interests[topic] for topic in topics]),
    )


def _features_with_prefix(features: Features, prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): at for at, name in enumerate(features.names) if name.startswith(prefix)}


def _feature_flags(features: Features, columns: list[int]) -> Csr:
    chosen: Csr = features.matrix[:, columns]
    return sparse.csr_array((np.ones(chosen.nnz, np.float32), chosen.indices, chosen.indptr), shape=chosen.shape)
