"""Evaluate variants and register trained versions.

Belongs here: what an evaluation compares, when an existing version is reused, what is registered with it. Does not: fitting
(fitting.py), storage (registry/versions.py), promotion (registry/gate.py, registry/promotion.py).
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
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
    hold_out_latest_relaxed,
)
from recsys_platform.recommender.errors import DataError, ModelError, NothingToLearnError
from recsys_platform.recommender.evaluation.evaluate import (
    ALL,
    NO_TEST_READERS,
    Evaluation,
    EvaluationParams,
    OnProgress,
    evaluate,
)
from recsys_platform.recommender.models.fallback import without_fallback
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.registry.files import Identity, Provenance, recipe_hash
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Registry
from recsys_platform.recommender.training.fitting import Fitter, Precomputed
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
"""Prefix of the metrics that hold the weights of a blend's components."""


@dataclass(frozen=True)
class TrainingResult:
    """The version of a variant; `is_new` is False if a version of the same data, recipe and code existed."""

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
    on_progress: OnProgress | None = None,
) -> TrainingResult:
    """Fit a variant on all data and register it; an existing version of the same data, recipe and code is reused.

    `name`: a variant of `variants`. `now`: time of creation, UTC without offset. `metrics`: of the recipe's evaluation on this data.
    `as_variant`: register under this name instead. Raises NothingToLearnError if the data have nothing to learn from.
    """
    variant = as_variant or name
    provenance = _provenance_of(variants[name].recipe(variants), data, variants, now, metrics or {})
    known = registry.find(variant, provenance.identity)
    if known:
        if provenance.metrics and not registry.info(known).metrics:
            registry.set_metrics(known, provenance.metrics)
        return TrainingResult(name, known, is_new=False)
    known_weights = {
        part: provenance.metrics[WEIGHT + part]
        for part in components_of(variants[name])
        if WEIGHT + part in provenance.metrics
    }
    precomputed = Precomputed(fitted=_trained_components(name, data, registry, variants), weights={name: known_weights})
    fitter = Fitter(data, variants, on_progress, precomputed=precomputed)
    trained = TrainedModel(fitter.fit(name), data.user_ids, data.book_ids)
    return TrainingResult(name, registry.log(variant, trained.arrays(), provenance), is_new=True)


def find_trained_version(name: str, data: Dataset, variants: Variants, registry: Registry) -> str | None:
    """Return the version of a variant's recipe on this data, by this code; None if it was not trained."""
    recipe = variants[name].recipe(variants)
    return registry.find(name, Identity(data.fingerprint(), recipe_hash(recipe), _code_and_baseline_version(variants)))


def _trained_components(name: str, data: Dataset, registry: Registry, variants: Variants) -> dict[str, Recommender]:
    """The baseline and a blend's components, as far as they are registered on this data by this code."""
    found = {}
    for part in (BASELINE, *components_of(variants[name])):
        version = find_trained_version(part, data, variants, registry)
        if version:
            found[part] = without_fallback(load_model(version, registry).model)
    return found


def load_model(version: str, registry: Registry) -> TrainedModel:
    """Load a version as a model. RegistryError if it does not exist or is damaged."""
    stored = registry.load(version)
    return restore(stored.info.variant, stored.arrays)


def live_recipe(variants: Variants, registry: Registry) -> tuple[Variants, str | None]:
    """Return the variants including the live recipe, and its name; None if nothing is live.

    If the live recipe is not one of the variants, because variants.yaml was changed, it is added as `production`. A recipe that this
    code cannot read is treated as not live: it cannot be trained on newer data.
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


def candidate_versions(
    data: Dataset, variants: Variants, live: str | None, registry: Registry, now: dt.datetime
) -> dict[str, str]:
    """Return the versions for the gate, by variant: those trained on this data by this code, and the live recipe if it is no variant.

    What is live and what a person may have made the challenger is trained now if it was not yet, such as after an upgrade: only what
    cannot be trained may be replaced for that reason.
    """
    known = {
        name: find_trained_version(name, data, variants, registry) for name in variants if not _is_live_recipe(name)
    }
    found = {name: version for name, version in known.items() if version}
    present = registry.version_of(PRODUCTION)
    if live == PRODUCTION and present:
        done = train(PRODUCTION, data, registry, variants=variants, now=now, as_variant=registry.info(present).variant)
        found[PRODUCTION] = done.version
    challenger = registry.version_of(CHALLENGER)
    for name in (live, _variant_of(challenger, variants, registry) if challenger else None):
        if name is not None and name in variants and name not in found:
            with suppress(NothingToLearnError):
                found[name] = train(name, data, registry, variants=variants, now=now).version
    return found


def _variant_of(version: str, variants: Variants, registry: Registry) -> str | None:
    """The name of the variant with the recipe of a version; None if it is none."""
    recipe = registry.info(version).recipe_hash
    return next((name for name, each in variants.items() if recipe_hash(each.recipe(variants)) == recipe), None)


def _is_live_recipe(name: str) -> bool:
    """Whether `name` is the live recipe outside the variants, or a component of it; `production_wide` is a variant."""
    return name == PRODUCTION or name.startswith(f"{PRODUCTION}.")


def evaluate_variants(
    data: Dataset,
    *,
    variants: Variants,
    params: EvaluationParams,
    live: str | None = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Train every variant on the past and evaluate it on the held-out likes, against the baseline and the live recipe.

    Variants with nothing to learn from are skipped. The metrics of a blend include the weights of the model to be trained on all
    data, as `weight_<component>`.

    Args:
        data: the whole data set; `splits.hold_out` splits it.
        variants: what to evaluate; the baseline must be among them.
        params: split, list lengths, sample of users.
        live: name of the live recipe, to compare with.
        on_progress: called when a step starts.

    Raises:
        DataError: no reader with history can be tested.
    """
    split = _split_function(params)(data)
    if not len(split.readers):
        raise DataError(NO_TEST_READERS)
    split_function = _inner_split_function(params, split)
    fitter = Fitter(split.train, variants, on_progress, hold_out=split_function, data_name="the evaluation's split")
    models = fitter.fit_all(name for name in variants if not name.startswith(f"{PRODUCTION}."))
    baselines = [model.name for model in models if model.name in (BASELINE, live)]
    found = evaluate(models, split, params, baselines=baselines, on_progress=on_progress)
    whole = Fitter(data, variants, on_progress, hold_out=split_function, precomputed=Precomputed(inner=fitter))
    return found.with_values(_blend_weights(models, whole), ALL)


def _split_function(params: EvaluationParams) -> Callable[..., Split]:
    """The split function for `params`."""
    chosen: dict[str, Callable[..., Split]] = {
        "moment": hold_out_after,
        "reader": hold_out_latest,
        "auto": partial(hold_out, min_readers=params.min_readers),
    }
    return chosen[params.by]


def _inner_split_function(params: EvaluationParams, split: Split) -> Callable[..., Split]:
    """The split function for the training part: the same kind as for the whole data, however few readers are left."""
    if params.by != "auto":
        return _split_function(params)
    return hold_out_after if split.by == "moment" else partial(hold_out_latest_relaxed, min_readers=params.min_readers)


def _blend_weights(models: Sequence[Recommender], whole: Fitter) -> Iterator[tuple[str, str, float]]:
    """Weights of the blends to be trained on all data, chosen with the split's models while they are in memory."""
    for model in models:
        params = whole.variants[model.name].params
        if isinstance(params, BlendParams):
            for part, weight in whole.weights(model.name, params).items():
                yield model.name, WEIGHT + part, weight


@cache
def code_version() -> str:
    """Return the platform's version and a hash of the recommender's source: changed code gives a new model version."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{version_of_package('recsys-platform')}+{digest.hexdigest()[:12]}"


def recipes_version(variants: Variants, *names: str) -> str:
    """Return a hash of the recipes of some variants, or of all."""
    chosen = {name: variants[name].recipe(variants) for name in names or variants}
    return recipe_hash(chosen)[:16]


def _code_and_baseline_version(variants: Variants) -> str:
    """The code version and the baseline's recipe, because every model falls back to the baseline."""
    return f"{code_version()}.{recipes_version(variants, BASELINE)[:8]}"


def _provenance_of(
    recipe: Mapping[str, Any], data: Dataset, variants: Variants, now: dt.datetime, metrics: Mapping[str, float]
) -> Provenance:
    first, last = (_to_datetime(time) for time in data.window or (None, None))
    return Provenance(
        created_at=now,
        data_hash=data.fingerprint(),
        catalogue_hash=data.catalogue_hash,
        code_version=_code_and_baseline_version(variants),
        data_from=first,
        data_to=last,
        params=recipe,
        metrics=metrics,
    )


def _to_datetime(time: np.datetime64 | None) -> dt.datetime | None:
    return None if time is None else time.astype("datetime64[us]").item()
