"""Fit variants on a data set.

Belongs here: which function fits which model, and how a blend gets its weights. Does not: the models (models/), registering
versions (candidates.py).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from recsys_platform.recommender.arrays import DoubleArray, FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.splits import Split, hold_out
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.evaluation import metrics
from recsys_platform.recommender.evaluation.evaluate import OnProgress
from recsys_platform.recommender.evaluation.search_score import mean_ndcg, sample
from recsys_platform.recommender.models.als import fit_als
from recsys_platform.recommender.models.blend import Blend, Quality, best_weights, mean_deviation, standardized
from recsys_platform.recommender.models.cold_start import fit_cold_start
from recsys_platform.recommender.models.content_similarity import fit_content_similarity
from recsys_platform.recommender.models.ease import fit_ease
from recsys_platform.recommender.models.fallback import WithFallback
from recsys_platform.recommender.models.item_knn import fit_item_knn
from recsys_platform.recommender.models.lightfm import OnEpoch, fit_lightfm
from recsys_platform.recommender.models.popularity import HALF_LIVES, Popularity, PopularityParams, fit_popularity
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.sequence import fit_sequence
from recsys_platform.recommender.ranking.top_k import top_k
from recsys_platform.recommender.training.variants import BASELINE, BlendParams, Variant, Variants

MAX_SCORES_IN_MEMORY = 250_000_000
"""Limit for the scores of all components while a blend's weights are chosen: 1 GB."""
HALF_LIFE_K, HALF_LIFE_USERS, HALF_LIFE_HELD_OUT = 10, 2_000, 0.2
"""Popularity's half-life is chosen by NDCG@k of at most so many readers, on the latest share of all likes."""
SCALE_SAMPLE_SIZE = 200
"""Number of users whose scores give the scale of a blend's components."""
HoldOut = Callable[..., Split]
_FIT_FUNCTIONS: Mapping[str, Callable[..., Recommender]] = {
    "als": fit_als,
    "item_knn": fit_item_knn,
    "ease": fit_ease,
    "sequence": fit_sequence,
    "content": fit_content_similarity,
}


@dataclass(frozen=True)
class Precomputed:
    """Results that a Fitter reuses instead of computing them again; the models are the same with or without.

    `fitted`: models on the data by variant, without fallback. `weights`: of blends, by component. `inner`: a fitter for the training
    part of the inner split.
    """

    fitted: Mapping[str, Recommender] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    inner: "Fitter | None" = None


class Fitter:
    """Fits variants on one data set; each recipe is fitted once, even if several variants and blends use it.

    `hold_out`: the inner split on which a blend's weights are chosen; it must match how the model is evaluated. `precomputed`: results
    to reuse. `on_progress` is called for every fit, with `data_name` in the text.
    """

    def __init__(
        self,
        data: Dataset,
        variants: Variants,
        on_progress: OnProgress | None = None,
        *,
        hold_out: HoldOut = hold_out,
        precomputed: "Precomputed | None" = None,
        data_name: str = "all data",
    ) -> None:
        self.data = data
        self.hold_out = hold_out
        self.variants = variants
        self.on_progress = on_progress
        self.precomputed = precomputed or Precomputed()
        self.data_name = data_name
        self._inner_fitter: Fitter | None = None
        self._fitted_models: dict[str, Recommender] = dict(self.precomputed.fitted)

    def fit(self, name: str) -> Recommender:
        """Fit a variant; users without history fall back to popularity by language and interests."""
        model = self.fit_without_fallback(name)
        baseline = self.fit_without_fallback(BASELINE)
        return model if isinstance(model, Popularity) else WithFallback(model, fit_cold_start(self.data, baseline))  # type: ignore[arg-type]

    def fit_all(self, names: Iterable[str]) -> list[Recommender]:
        """Fit those variants that have something to learn from."""
        return [self.fit(name) for name in self.learnable(names)]

    def learnable(self, names: Iterable[str]) -> list[str]:
        """Fit variants and return the names of those that have something to learn from."""
        wanted = list(names)
        return [name for at, name in enumerate(wanted, 1) if self._can_learn(name, f" ({at} of {len(wanted)})")]

    def fit_without_fallback(self, name: str, position: str = "") -> Recommender:
        """Fit a variant without fallback. NothingToLearnError if the data are too few. `position`: for progress, like ` (2 of 8)`."""
        if name not in self._fitted_models:
            self._fitted_models[name] = self._reuse_same_recipe(name) or self._fit_and_report(name, position)
        return self._fitted_models[name]

    def _reuse_same_recipe(self, name: str) -> Recommender | None:
        """A model of the same recipe that was fitted under another name."""
        recipe = self.variants[name].recipe(self.variants)
        fitted = (each for each in self._fitted_models if self.variants[each].recipe(self.variants) == recipe)
        twin = next(fitted, None)
        return replace(self._fitted_models[twin], name=name) if twin else None  # type: ignore[type-var]

    def _fit_and_report(self, name: str, position: str) -> Recommender:
        if self.on_progress:
            self.on_progress(f"fitting {name} on {self.data_name}{position}", 0, 0)
        return self._fit_variant(self.variants[name])

    def _fit_variant(self, variant: Variant) -> Recommender:
        if isinstance(variant.params, PopularityParams):
            return fit_popularity(self.data, self._choose_half_life(variant.params), name=variant.name)
        if isinstance(variant.params, BlendParams):
            return self._fit_blend(variant.name, variant.params)
        if variant.model == "lightfm":
            on_epoch = self._epoch_callback(variant.name)
            return fit_lightfm(self.data, variant.params, name=variant.name, on_epoch=on_epoch)  # type: ignore[arg-type]
        return _FIT_FUNCTIONS[variant.model](self.data, variant.params, name=variant.name)

    def _choose_half_life(self, params: PopularityParams) -> PopularityParams:
        """Replace a half-life of None by the best one on an inner split; by infinity if nothing can be held out by time."""
        if params.half_life_days is not None:
            return params
        tried = [replace(params, half_life_days=days) for days in HALF_LIVES]
        split = self.hold_out(self.data, fraction=HALF_LIFE_HELD_OUT, seed=0)
        first, last = split.train.window or (None, None)
        if not len(split.test_users) or first == last:
            return tried[0]
        return max(
            tried, key=lambda each: mean_ndcg(fit_popularity(split.train, each), split, HALF_LIFE_K, HALF_LIFE_USERS)
        )

    def _can_learn(self, name: str, position: str) -> bool:
        try:
            self.fit_without_fallback(name, position)
        except NothingToLearnError:
            return False
        return True

    def _fit_blend(self, name: str, params: BlendParams) -> Blend:
        parts = self.learnable(params.components)
        if not parts:
            raise NothingToLearnError(f"No component of {name} has anything to learn from. Load more events first.")
        chosen = self.precomputed.weights.get(name) or self.weights(name, params)
        weights = np.array([chosen.get(part, 0) for part in parts], np.float32)
        if not weights.any():  # too little data for an inner split
            weights[:] = 1
        components = tuple(self.fit_without_fallback(part) for part in parts)
        some = sample(np.flatnonzero(self.data.positives_per_user).astype(np.int32), SCALE_SAMPLE_SIZE, params.seed)
        scales = np.array([mean_deviation(component, some) for component in components], dtype=np.float32)
        return Blend(name, components, weights, scales)

    def weights(self, name: str, params: BlendParams) -> dict[str, float]:
        """Choose a blend's weights by component on an inner split; empty if nothing can be held out."""
        split = self.hold_out(self.data, fraction=params.held_out, seed=params.seed)
        if not len(split.readers):
            return {}
        inner = self._inner_fitter_for(split)
        parts = inner.learnable(params.components)
        if not parts:
            return {}
        if self.on_progress:
            self.on_progress(f"choosing the weights of {name} for {self.data_name}", 0, 0)
        quality = blend_quality([inner.fit_without_fallback(part) for part in parts], split, params)
        return dict(zip(parts, best_weights(quality, len(parts)).tolist(), strict=True))

    def _inner_fitter_for(self, split: Split) -> "Fitter":
        precomputed = self.precomputed.inner
        if precomputed and precomputed.data.fingerprint() == split.train.fingerprint():
            return precomputed
        if self._inner_fitter is None or self._inner_fitter.data.fingerprint() != split.train.fingerprint():
            self._inner_fitter = Fitter(
                split.train,
                self.variants,
                self.on_progress,
                hold_out=self.hold_out,
                data_name=f"the training part of {self.data_name}",
            )
        return self._inner_fitter

    def _epoch_callback(self, name: str) -> OnEpoch | None:
        on_progress = self.on_progress
        return (
            (lambda done, total: on_progress(f"fitting {name} on {self.data_name}, epochs", done, total))
            if on_progress
            else None
        )


def blend_quality(components: list[Recommender], split: Split, params: BlendParams) -> Quality:
    """Return a function from weights to the blend's NDCG@k per reader, for a sample of the split's readers with history."""
    max_users = MAX_SCORES_IN_MEMORY // (split.train.shape[1] * len(components)) or 1
    users = sample(split.readers, min(params.max_users, max_users), params.seed)
    parts = np.empty((len(users), len(components), split.train.shape[1]), np.float32)
    for place, component in enumerate(components):
        parts[:, place] = standardized(component.scores(users))
    seen, test = split.train.pairs()[users], split.test[users]
    rows, relevant = np.arange(len(users), dtype=np.int32), np.diff(test.indptr)

    def quality(weights: FloatArray) -> DoubleArray:
        books = top_k(lambda some: weights @ parts[some[0] : some[-1] + 1], rows, k=params.k, exclude=seen).books
        return metrics.ndcg(metrics.hits_of(books, test), relevant)

    return quality
