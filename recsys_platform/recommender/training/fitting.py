"""From a variant and a data set to a fitted model.

Belongs here: which function fits which model, and how a blend finds its weights. Does not: the models, what is stored (candidates.py).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from recsys_platform.recommender.arrays import DoubleArray, FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.splits import Split, hold_out
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.evaluation import metrics
from recsys_platform.recommender.evaluation.evaluate import Listener
from recsys_platform.recommender.evaluation.search_score import mean_ndcg, sample
from recsys_platform.recommender.models.als import fit_als
from recsys_platform.recommender.models.blend import Blend, Quality, best_weights, mean_deviation, standardized
from recsys_platform.recommender.models.cold_start import fit_newcomers
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

SCORES_AT_ONCE = 250_000_000
"""So many scores are kept of all components together while a blend's weights are chosen: 1 GB."""
DECAY_K, DECAY_USERS, DECAY_HELD_OUT = 10, 2_000, 0.2
"""Popularity's half-life is chosen by NDCG@k of at most so many readers, on the latest part of all that was liked."""
SCALED_ON = 200
"""Users whose scores tell the scale of a blend's components."""
HoldOut = Callable[..., Split]
_FITS: Mapping[str, Callable[..., Recommender]] = {
    "als": fit_als,
    "item_knn": fit_item_knn,
    "ease": fit_ease,
    "sequence": fit_sequence,
    "content": fit_content_similarity,
}


@dataclass(frozen=True)
class Given:
    """What is there already and need not be made again; with or without it, models come out the same.

    `fitted`: models on the data by variant, without fallback. `weights`: of blends, by component. `inner`: a fitter for the data
    without what is held out of them.
    """

    fitted: Mapping[str, Recommender] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    inner: "Fitter | None" = None


class Fitter:
    """Fits variants on one data set; each recipe is fitted once, whatever variants and blends it belongs to.

    `hold_out` cuts off what a blend's weights are chosen on: it must ask what the model will be asked. The listener is told of every
    fit, with `on` as the name of the data set.
    """

    def __init__(
        self,
        data: Dataset,
        variants: Variants,
        listener: Listener | None = None,
        *,
        hold_out: HoldOut = hold_out,
        given: "Given | None" = None,
        on: str = "all data",
    ) -> None:
        self.data = data
        self.hold_out = hold_out
        self.variants = variants
        self.listener = listener
        self.given = given or Given()
        self.on = on
        self._inner_fitter: Fitter | None = None
        self._bare: dict[str, Recommender] = dict(self.given.fitted)

    def fit(self, name: str) -> Recommender:
        """The variant; users it does not know get popularity in their language, of their interests."""
        bare = self.bare(name)
        baseline = self.bare(BASELINE)
        return bare if isinstance(bare, Popularity) else WithFallback(bare, fit_newcomers(self.data, baseline))  # type: ignore[arg-type]

    def fit_all(self, names: Iterable[str]) -> list[Recommender]:
        """Those variants that have something to learn from."""
        return [self.fit(name) for name in self.learnable(names)]

    def learnable(self, names: Iterable[str]) -> list[str]:
        """Those variants that have something to learn from; they are fitted."""
        wanted = list(names)
        return [name for at, name in enumerate(wanted, 1) if self._can_learn(name, f" ({at} of {len(wanted)})")]

    def bare(self, name: str, place: str = "") -> Recommender:
        """The variant without fallback; NothingToLearnError if the world is too young for it. `place`: which of how many it is."""
        if name not in self._bare:
            self._bare[name] = self._of_same_recipe(name) or self._fitted_aloud(name, place)
        return self._bare[name]

    def _of_same_recipe(self, name: str) -> Recommender | None:
        """A model that was fitted under another name."""
        recipe = self.variants[name].recipe(self.variants)
        fitted = (each for each in self._bare if self.variants[each].recipe(self.variants) == recipe)
        twin = next(fitted, None)
        return replace(self._bare[twin], name=name) if twin else None  # type: ignore[type-var]

    def _fitted_aloud(self, name: str, place: str) -> Recommender:
        if self.listener:
            self.listener(f"fitting {name} on {self.on}{place}", 0, 0)
        return self._fitted(self.variants[name])

    def _fitted(self, variant: Variant) -> Recommender:
        if isinstance(variant.params, PopularityParams):
            return fit_popularity(self.data, self._with_half_life(variant.params), name=variant.name)
        if isinstance(variant.params, BlendParams):
            return self._blended(variant.name, variant.params)
        if variant.model == "lightfm":
            return fit_lightfm(self.data, variant.params, name=variant.name, on_epoch=self._told(variant.name))  # type: ignore[arg-type]
        return _FITS[variant.model](self.data, variant.params, name=variant.name)

    def _with_half_life(self, params: PopularityParams) -> PopularityParams:
        """None replaced by what is best for the readers of an inner split; a plain sum where nothing or no time can be held out."""
        if params.half_life_days is not None:
            return params
        tried = [replace(params, half_life_days=days) for days in HALF_LIVES]
        split = self.hold_out(self.data, fraction=DECAY_HELD_OUT, seed=0)
        first, last = split.train.window or (None, None)
        if not len(split.test_users) or first == last:
            return tried[0]
        return max(tried, key=lambda each: mean_ndcg(fit_popularity(split.train, each), split, DECAY_K, DECAY_USERS))

    def _can_learn(self, name: str, place: str) -> bool:
        try:
            self.bare(name, place)
        except NothingToLearnError:
            return False
        return True

    def _blended(self, name: str, params: BlendParams) -> Blend:
        parts = self.learnable(params.components)
        if not parts:
            raise NothingToLearnError(f"No component of {name} has anything to learn from. Load more events first.")
        chosen = self.given.weights.get(name) or self.weights(name, params)
        weights = np.array([chosen.get(part, 0) for part in parts], np.float32)
        if not weights.any():  # too young a world to hold something out
            weights[:] = 1
        components = tuple(self.bare(part) for part in parts)
        some = sample(np.flatnonzero(self.data.positives_per_user).astype(np.int32), SCALED_ON, params.seed)
        scales = np.array([mean_deviation(component, some) for component in components], dtype=np.float32)
        return Blend(name, components, weights, scales)

    def weights(self, name: str, params: BlendParams) -> dict[str, float]:
        """A blend's weights by component, chosen on what is held out of the data; none if nothing can be held out."""
        split = self.hold_out(self.data, fraction=params.held_out, seed=params.seed)
        if not len(split.readers):
            return {}
        inner = self._inner(split)
        parts = inner.learnable(params.components)
        if not parts:
            return {}
        if self.listener:
            self.listener(f"choosing the weights of {name} for {self.on}", 0, 0)
        quality = blend_quality([inner.bare(part) for part in parts], split, params)
        return dict(zip(parts, best_weights(quality, len(parts)).tolist(), strict=True))

    def _inner(self, split: Split) -> "Fitter":
        given = self.given.inner
        if given and given.data.fingerprint() == split.train.fingerprint():
            return given
        if self._inner_fitter is None or self._inner_fitter.data.fingerprint() != split.train.fingerprint():
            self._inner_fitter = Fitter(
                split.train, self.variants, self.listener, hold_out=self.hold_out, on=f"the past of {self.on}"
            )
        return self._inner_fitter

    def _told(self, name: str) -> OnEpoch | None:
        listener = self.listener
        return (lambda done, total: listener(f"fitting {name} on {self.on}, epochs", done, total)) if listener else None


def blend_quality(components: list[Recommender], split: Split, params: BlendParams) -> Quality:
    """From weights to the blend's NDCG@k for each of a sample of a split's readers with history, as many as memory allows."""
    bearable = SCORES_AT_ONCE // (split.train.shape[1] * len(components)) or 1
    users = sample(split.readers, min(params.max_users, bearable), params.seed)
    parts = np.empty((len(users), len(components), split.train.shape[1]), np.float32)
    for place, component in enumerate(components):
        parts[:, place] = standardized(component.scores(users))
    seen, test = split.train.pairs()[users], split.test[users]
    rows, relevant = np.arange(len(users), dtype=np.int32), np.diff(test.indptr)

    def quality(weights: FloatArray) -> DoubleArray:
        books = top_k(lambda some: weights @ parts[some[0] : some[-1] + 1], rows, k=params.k, exclude=seen).books
        return metrics.ndcg(metrics.hits_of(books, test), relevant)

    return quality
