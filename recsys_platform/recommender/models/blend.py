"""Blend: the weighted sum of several models' standardized scores.

Belongs here: the sum, its scale, and the search for weights. Does not: which models are blended (training/variants.py).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, reduce

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.models.factor_sum import FactorSum
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.histories import Histories
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.scoring import add_standardized, mean_and_deviation

Quality = Callable[[FloatArray], DoubleArray]
"""Maps weights, one per component, to the quality of the blend for each of some users; higher is better."""
Weights = tuple[float, ...]
STEPS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
"""Weights tried for one component while the others keep theirs."""


@dataclass(frozen=True)
class Blend:
    """The weighted sum of the components' scores, each standardized per user to mean 0 and standard deviation 1.

    `scales`: mean standard deviation of the scores, by component.
    """

    name: str
    components: tuple[Recommender, ...]
    weights: FloatArray
    scales: FloatArray

    def scores(self, users: IntArray) -> FloatArray:
        """Weighted sum of the components' standardized scores."""
        return self._weighted_score_sum(
            len(users), lambda part: part.scores(users), lambda model: model.user_vectors[users]
        )

    def fold_in(self, histories: Histories) -> FloatArray:
        """Weighted sum of the components' standardized fold-in scores."""
        return self._weighted_score_sum(
            len(histories), lambda part: part.fold_in(histories), lambda model: model.fold_in_vectors(histories)
        )

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """Weighted sum of the components' contributions, divided by the mean scale of each."""
        parts = (share * part.contributions(history, books) for part, share in self._scaled_components)
        return np.asarray(reduce(np.add, parts), dtype=np.float32)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether any component with a weight knows each user."""
        return np.asarray(np.any([part.personal(users) for part, _ in self._weighted_components], axis=0))

    def arrays(self) -> dict[str, AnyArray]:
        """The weights, and the arrays of every component, prefixed with its name."""
        names = np.array([component.name for component in self.components], dtype=object)
        parts = {
            f"{component.name}.{key}": array
            for component in self.components
            for key, array in component.arrays().items()
        }
        return {
            "kind": np.array(["blend"], dtype=object),
            "components": names,
            "weights": self.weights,
            "scales": self.scales,
        } | parts

    def _weighted_score_sum(
        self,
        count: int,
        scores_of: Callable[[Recommender], FloatArray],
        vectors_of: Callable[[FactorModel], FloatArray],
    ) -> FloatArray:
        factors = self._factor_sum
        total = factors.scores([vectors_of(model) for model in factors.models]) if factors else None
        return weighted_sum(
            ((scores_of(part), np.full(count, weight)) for part, weight in self._other_components), total
        )

    @cached_property
    def _weighted_components(self) -> list[tuple[Recommender, np.float32]]:
        return [(part, weight) for part, weight in zip(self.components, self.weights, strict=True) if weight]

    @cached_property
    def _scaled_components(self) -> list[tuple[Recommender, np.float32]]:
        """The components with a weight, and that weight divided by the mean scale."""
        parts = zip(self.components, self.weights, self.scales, strict=True)
        return [(part, weight / scale) for part, weight, scale in parts if weight]

    @cached_property
    def _factor_sum(self) -> FactorSum | None:
        """The components that are factor models, as one product."""
        found = [(part, weight) for part, weight in self._weighted_components if isinstance(part, FactorModel)]
        models, weights = zip(*found, strict=True) if found else ((), ())
        return FactorSum(models, np.array(weights, np.float32)) if found else None

    @cached_property
    def _other_components(self) -> list[tuple[Recommender, np.float32]]:
        return [(part, weight) for part, weight in self._weighted_components if not isinstance(part, FactorModel)]


def mean_deviation(component: Recommender, users: IntArray) -> float:
    """Mean over users of the standard deviation of a component's scores; 1 without users."""
    return float(np.mean([mean_and_deviation(row)[1] for row in component.scores(users)])) if len(users) else 1.0


def standardized(scores: FloatArray) -> FloatArray:
    """Standardize each row to mean 0 and standard deviation 1; a row of equal scores becomes 0."""
    return weighted_sum([(scores, np.ones(len(scores), np.float32))])


def weighted_sum(parts: Iterable[tuple[FloatArray, FloatArray]], total: FloatArray | None = None) -> FloatArray:
    """Sum pairs of scores (m, n) and weights (m,), each row of scores standardized; added to `total` if given."""
    for scores, weights in parts:
        total = np.zeros(scores.shape, np.float32) if total is None else total
        add_standardized(scores, weights, total)
    if total is None:
        raise ValueError("The weighted sum needs at least one part.")
    return total


def best_weights(quality: Quality, count: int, *, rounds: int = 3) -> FloatArray:
    """Search weights by coordinate ascent: each component in turn is tried at every step while the others stay.

    Starts from equal weights or a single component, whichever is best, and stops when a round changes nothing. Among the steps within
    one standard error of the best, the nearest to the present weight is taken (one-standard-error rule: Breiman et al. 1984,
    Classification and Regression Trees, 3.4.3).
    """
    quality_of = cache(lambda weights: quality(np.array(weights, np.float32)))
    starts = [(1.0,) * count, *(tuple(row) for row in np.eye(count).tolist())]
    weights = max(starts, key=lambda start: quality_of(start).mean())
    for _ in range(rounds):
        before = weights
        for number in range(count):
            weights = _improve_weight(quality_of, weights, number)
        if weights == before:
            break
    return np.array(weights, np.float32)


def _improve_weight(quality_of: Callable[[Weights], DoubleArray], weights: Weights, number: int) -> Weights:
    steps = sorted(STEPS, key=lambda step: abs(step - weights[number]))
    tried = [(*weights[:number], step, *weights[number + 1 :]) for step in steps]
    tried = [each for each in tried if any(each)]
    best = max((quality_of(each) for each in tried), key=np.mean)
    return next(each for each in tried if not _is_worse(quality_of(each), best))


def _is_worse(one: DoubleArray, other: DoubleArray) -> bool:
    """Whether `one` is worse by more than the standard error of the mean difference."""
    difference = other - one
    return bool(difference.mean() > difference.std() / np.sqrt(len(difference)))
