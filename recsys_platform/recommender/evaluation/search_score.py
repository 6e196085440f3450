"""The objective of parameter searches: mean NDCG of one model, computed quickly.

Belongs here: the mean NDCG on a sample of a split's test users. Does not: intervals, segments, other metrics (evaluate.py).
"""

import numpy as np

from recsys_platform.recommender.arrays import IntArray
from recsys_platform.recommender.data.splits import Split
from recsys_platform.recommender.evaluation import metrics
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import top_k


def mean_ndcg(model: Recommender, split: Split, k: int, max_users: int | None = None, *, seed: int = 0) -> float:
    """Return the mean NDCG@k over the test users or a seeded sample; books of their training data are not ranked."""
    users = sample(split.test_users, max_users, seed)
    books = top_k(model.scores, users, k=k, exclude=split.train.pairs()).books
    test = split.test[users]
    return float(metrics.ndcg(metrics.hits_of(books, test), np.diff(test.indptr)).mean())


def sample(users: IntArray, at_most: int | None, seed: int) -> IntArray:
    """Draw at most `at_most` of the users, ascending."""
    if at_most is None or len(users) <= at_most:
        return users
    return np.sort(np.random.default_rng(seed).choice(users, at_most, replace=False))
