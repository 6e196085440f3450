"""Several models' opinions, added on one scale.

Belongs here: the sum and its scale, and how its weights are chosen. Does not: what is blended (training/candidates.py), the models.
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
"""From weights, one a component, to how good the blend is for each of some users; higher is better."""
Weights = tuple[float, ...]
STEPS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)
"""Weights tried for one component while the others keep theirs."""


@dataclass(frozen=True)
class Blend:
    """The sum of the components' scores, each brought to mean 0 and deviation 1 over a user's books, times its weight.

    `scales`: the mean of that deviation, by component.
    """

    name: str
    components: tuple[Recommender, ...]
    weights: FloatArray
    scales: FloatArray

    def scores(self, users: IntArray) -> FloatArray:
        """Every component's scores on one scale, weighted."""
        return self._sum(len(users), lambda part: part.scores(users), lambda model: model.user_vectors[users])

    def fold_in(self, histories: Histories) -> FloatArray:
        """The same of every component's fold-in."""
        return self._sum(
            len(histories), lambda part: part.fold_in(histories), lambda model: model.folded_vectors(histories)
        )

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """Every component's contributions, weighted, on the scale that its scores have on average."""
        parts = (
            weight / scale * part.contributions(history, books)
            for part, weight, scale in zip(self.components, self.weights, self.scales, strict=True)
            if weight
        )
        return np.asarray(reduce(np.add, parts), dtype=np.float32)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether any component that counts knows each user."""
        return np.asarray(np.any([part.personal(users) for part, _ in self._weighted_components], axis=0))

    def arrays(self) -> dict[str, AnyArray]:
        """The weights, and every component's arrays with its name before them."""
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

    def _sum(
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
    def _factor_sum(self) -> FactorSum | None:
        """Of the components that are vectors."""
        found = [(part, weight) for part, weight in self._weighted_components if isinstance(part, FactorModel)]
        models, weights = zip(*found, strict=True) if found else ((), ())
        return FactorSum(models, np.array(weights, np.float32)) if found else None

    @cached_property
    def _other_components(self) -> list[tuple[Recommender, np.float32]]:
        return [(part, weight) for part, weight in self._weighted_components if not isinstance(part, FactorModel)]


def mean_deviation(component: Recommender, users: IntArray) -> float:
    """The mean over users of the deviation of a component's scores, 1 if there are none."""
    return float(np.mean([mean_and_deviation(row)[1] for row in component.scores(users)])) if len(users) else 1.0


def standardized(scores: FloatArray) -> FloatArray:
    """Each row with mean 0 and deviation 1; a row of equal scores becomes 0."""
    return weighted_sum([(scores, np.ones(len(scores), np.float32))])


def weighted_sum(parts: Iterable[tuple[FloatArray, FloatArray]], total: FloatArray | None = None) -> FloatArray:
    """Of (scores (m, n), weights (m,)), each row of scores with mean 0 and deviation 1; added to `total` where there is one."""
    for scores, weights in parts:
        total = np.zeros(scores.shape, np.float32) if total is None else total
        add_standardized(scores, weights, total)
    if total is None:
        raise ValueError("There is nothing to add.")
    return total


def best_weights(quality: Quality, count: int, *, rounds: int = 3) -> FloatArray:
    """Weights found by going through the components in turn, each tried at every step while the others stay.

    The search begins with the best of all components alike and each alone, and ends early when a round changes nothing. Of the steps
    that are no worse than the best one by more than a standard error, the nearest is taken (Breiman et al. 1984, Classification and
    Regression Trees, 3.4.3): a weight is not moved for what the held-out users cannot tell apart.
    """
    measured = cache(lambda weights: quality(np.array(weights, np.float32)))
    starts = [(1.0,) * count, *(tuple(row) for row in np.eye(count).tolist())]
    weights = max(starts, key=lambda start: measured(start).mean())
    for _ in range(rounds):
        before = weights
        for number in range(count):
            weights = _moved(measured, weights, number)
        if weights == before:
            break
    return np.array(weights, np.float32)


def _moved(measured: Callable[[Weights], DoubleArray], weights: Weights, number: int) -> Weights:
    steps = sorted(STEPS, key=lambda step: abs(step - weights[number]))
    tried = [(*weights[:number], step, *weights[number + 1 :]) for step in steps]
    tried = [each for each in tried if any(each)]
    best = max((measured(each) for each in tried), key=np.mean)
    return next(each for each in tried if not _is_worse(measured(each), best))


def _is_worse(one: DoubleArray, other: DoubleArray) -> bool:
    """By more than the standard error of the mean difference."""
    difference = other - one
    return bool(difference.mean() > difference.std() / np.sqrt(len(difference)))
