"""From a data set to evaluated and registered models.

Belongs here: what an evaluation compares, when a version can be used again, what is registered with it. Does not: fitting
(fitting.py), storage (registry/versions.py), which version goes live (registry/gate.py, registry/promotion.py).
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Any

import numpy as np

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.splits import (
    Split,
    hold_out,
    hold_out_after,
    hold_out_latest,
    hold_out_own_latest,
)
from recsys_platform.recommender.errors import DataError, ModelError
from recsys_platform.recommender.evaluation.evaluate import (
    ALL,
    NOBODY,
    Evaluation,
    EvaluationParams,
    Listener,
    evaluate,
)
from recsys_platform.recommender.models.fallback import bare
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.registry.files import Facts, Identity, recipe_hash
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.recommender.training.fitting import Fitter, Given
from recsys_platform.recommender.training.variants import (
    BASELINE,
    BlendParams,
    Variants,
    components_of,
    variants_of_recipe,
)

EVALUATION = EvaluationParams(max_users=5_000)
"""How variants are compared on every new state of the data."""
WEIGHT = "weight_"
"""Before a component's name: the figure that tells its weight in a blend."""


@dataclass(frozen=True)
class Registered:
    """A version of a variant; `is_new` is false where the same data, recipe and code had given it before."""

    name: str
    version: str
    is_new: bool


def train(
    name: str,
    data: Dataset,
    registry: Registry,
    *,
    variants: Variants,
    now: dt.datetime,
    metrics: Mapping[str, float] | None = None,
    as_variant: str | None = None,
    listener: Listener | None = None,
) -> Registered:
    """Fit on everything and register; training is deterministic, so what was trained before is used again.

    `metrics`: what the recipe reached in the evaluation on this data. `as_variant`: what it is registered as, if not by its name.
    """
    variant = as_variant or name
    facts = _facts(variants[name].recipe(variants), data, variants, now, metrics or {})
    known = registry.find(variant, facts.identity)
    if known:
        if facts.metrics and not registry.listed(known).metrics:
            registry.set_metrics(known, facts.metrics)
        return Registered(name, known, is_new=False)
    known_weights = {
        part: facts.metrics[WEIGHT + part] for part in components_of(variants[name]) if WEIGHT + part in facts.metrics
    }
    given = Given(fitted=_trained_components(name, data, registry, variants), weights={name: known_weights})
    fitter = Fitter(data, variants, listener, given=given)
    trained = TrainedModel(fitter.fit(name), data.user_ids, data.book_ids)
    return Registered(name, registry.log(variant, trained.arrays(), facts), is_new=True)


def trained_on(name: str, data: Dataset, variants: Variants, registry: Registry) -> str | None:
    """The version of a variant's present recipe on this data, by this code; None if it was not trained."""
    recipe = variants[name].recipe(variants)
    return registry.find(name, Identity(data.fingerprint(), recipe_hash(recipe), _made_by(variants)))


def _trained_components(name: str, data: Dataset, registry: Registry, variants: Variants) -> dict[str, Recommender]:
    """What a blend is made of and what newcomers get, as far as it was registered on this data by this code."""
    found = {}
    for part in (BASELINE, *components_of(variants[name])):
        version = trained_on(part, data, variants, registry)
        if version:
            found[part] = bare(load_model(version, registry).model)
    return found


def load_model(version: str, registry: Registry) -> TrainedModel:
    """A version made whole; `RegistryError` if there is none."""
    stored = registry.load(version)
    return restore(stored.listed.variant, stored.arrays)


def live_recipe(variants: Variants, registry: Registry) -> tuple[Variants, str | None]:
    """The variants with the recipe that is live among them, and its name there; None if nothing is live.

    It is one of the variants, unless the file of variants was changed since: then it is added as `production`. A recipe that this
    code cannot read any more counts as nothing: it cannot be trained on newer data.
    """
    version = registry.version_of(PRODUCTION)
    if version is None:
        return variants, None
    live = registry.manifest(version)
    for name, variant in variants.items():
        if recipe_hash(variant.recipe(variants)) == live["recipe_hash"]:
            return variants, name
    try:
        return {**variants, **variants_of_recipe(PRODUCTION, live["params"])}, PRODUCTION
    except ModelError:
        return variants, None


def candidates_of(
    data: Dataset, variants: Variants, live: str | None, registry: Registry, now: dt.datetime
) -> dict[str, str]:
    """Version by variant, for the gate: of each its recipe on this data, and the live recipe too if it is none of them."""
    known = {name: trained_on(name, data, variants, registry) for name in variants if not _is_live_recipe(name)}
    found = {name: version for name, version in known.items() if version}
    present = registry.version_of(PRODUCTION)
    if live == PRODUCTION and present:
        done = train(
            PRODUCTION, data, registry, variants=variants, now=now, as_variant=registry.listed(present).variant
        )
        found[PRODUCTION] = done.version
    return found


def _is_live_recipe(name: str) -> bool:
    """Whether it names the live recipe that is no variant any more, or a component of it; `production_wide` is a variant."""
    return name == PRODUCTION or name.startswith(f"{PRODUCTION}.")


def evaluate_variants(
    data: Dataset,
    *,
    variants: Variants,
    params: EvaluationParams,
    live: str | None = None,
    listener: Listener | None = None,
) -> Evaluation:
    """Every variant, trained on the past and tested on what came after, against the baseline and the live recipe.

    Readers with history decide what that means, see `splits.hold_out`. Where none can be tested, DataError is raised before anything
    is fitted.

    Variants that have nothing to learn from in that past are left out. A blend's weights for today's model are among its figures,
    as `weight_<component>`.
    """
    split = _cut(params)(data)
    if not len(split.readers):
        raise DataError(NOBODY)
    cut = _inner_cut(params, split)
    fitter = Fitter(split.train, variants, listener, hold_out=cut, on="the evaluation's split")
    models = fitter.fit_all(name for name in variants if not name.startswith(f"{PRODUCTION}."))
    baselines = [model.name for model in models if model.name in (BASELINE, live)]
    found = evaluate(models, split, params, baselines=baselines, listener=listener)
    whole = Fitter(data, variants, listener, hold_out=cut, given=Given(inner=fitter))
    return found.with_values(_weights(models, whole), ALL)


def _cut(params: EvaluationParams) -> Callable[..., Split]:
    """What holds out what `params` ask for."""
    chosen: dict[str, Callable[..., Split]] = {
        "moment": hold_out_after,
        "reader": hold_out_latest,
        "auto": partial(hold_out, enough=params.enough),
    }
    return chosen[params.by]


def _inner_cut(params: EvaluationParams, split: Split) -> Callable[..., Split]:
    """What holds out a part of the past in turn: of the kind that was chosen for the whole, however few readers are left."""
    if params.by != "auto":
        return _cut(params)
    return hold_out_after if split.by == "moment" else partial(hold_out_own_latest, enough=params.enough)


def _weights(models: Sequence[Recommender], whole: Fitter) -> Iterator[tuple[str, str, float]]:
    """Of blends that will be trained on the whole data: their weights are chosen with the split's models, which are there now."""
    for model in models:
        params = whole.variants[model.name].params
        if isinstance(params, BlendParams):
            for part, weight in whole.weights(model.name, params).items():
                yield model.name, WEIGHT + part, weight


@cache
def code_version() -> str:
    """The platform's version and a hash of the recommender's source: other code is another model."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{version_of_package('recsys-platform')}+{digest.hexdigest()[:12]}"


def recipes_version(variants: Variants, *names: str) -> str:
    """A hash of the recipes of some variants, or of all: it changes when what is trained by them does."""
    chosen = {name: variants[name].recipe(variants) for name in names or variants}
    return recipe_hash(chosen)[:16]


def _made_by(variants: Variants) -> str:
    """The code, and the baseline's recipe: every model falls back on it."""
    return f"{code_version()}.{recipes_version(variants, BASELINE)[:8]}"


def _facts(
    recipe: Mapping[str, Any], data: Dataset, variants: Variants, now: dt.datetime, metrics: Mapping[str, float]
) -> Facts:
    first, last = (_moment(time) for time in data.window or (None, None))
    return Facts(
        created_at=now,
        data_hash=data.fingerprint(),
        catalogue_hash=data.catalogue_hash,
        code_version=_made_by(variants),
        data_from=first,
        data_to=last,
        params=recipe,
        metrics=metrics,
    )


def _moment(time: np.datetime64 | None) -> dt.datetime | None:
    return None if time is None else time.astype("datetime64[us]").item()
