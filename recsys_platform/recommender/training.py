"""From a data set to registered models and their evaluation: the variants, and how each is fitted.

Belongs here: which variants there are, when a version can be used again, what an evaluation compares. Does not: the models
themselves (models/), storage (registry.py).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of_package
from typing import Any

import numpy as np

from recsys_platform.recommender.dataset import Dataset
from recsys_platform.recommender.evaluation import Evaluation, EvaluationParams, evaluate
from recsys_platform.recommender.fitting import Fitter, Listener
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.registry import Facts, ModelVersion, Registry
from recsys_platform.recommender.splits import hold_out_latest
from recsys_platform.recommender.variants import BASELINE, Variants


@dataclass(frozen=True)
class Registered:
    """A version of a variant; `is_new` is false where the same data, parameters and code had given it before."""

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
    listener: Listener | None = None,
) -> Registered:
    """Fit, register and put into production; training is deterministic, so what was trained before is used again."""
    facts = _facts(variants[name].recipe(variants), data, now)
    known = _same_as_production(registry, name, facts)
    if known:
        return Registered(name, known, is_new=False)
    trained = TrainedModel(Fitter(data, variants, listener).fit(name), data.user_ids, data.book_ids)
    version = registry.log(name, trained.arrays(), facts)
    registry.set_alias(name, version)
    return Registered(name, version, is_new=True)


def production_model(name: str, registry: Registry) -> tuple[ModelVersion, TrainedModel]:
    """The version in production, made whole; `RegistryError` if there is none."""
    stored = registry.load(name, registry.version_of(name) or "in production")
    return stored, restore(name, stored.arrays)


def evaluate_variants(
    data: Dataset, *, variants: Variants, params: EvaluationParams, listener: Listener | None = None
) -> Evaluation:
    """Every variant, trained on the past of each user and tested on the books liked last."""
    split = hold_out_latest(data)
    fitter = Fitter(split.train, variants, listener)
    models = [fitter.fit(name) for name in variants]
    return evaluate(models, split, params, baseline=BASELINE)


def _facts(recipe: Mapping[str, Any], data: Dataset, now: dt.datetime) -> Facts:
    first, last = (_moment(time) for time in data.window or (None, None))
    return Facts(
        created_at=now,
        data_hash=data.fingerprint(),
        code_version=version_of_package("recsys-platform"),
        data_from=first,
        data_to=last,
        params=recipe,
    )


def _moment(time: np.datetime64 | None) -> dt.datetime | None:
    return None if time is None else time.astype("datetime64[us]").item()


def _same_as_production(registry: Registry, name: str, facts: Facts) -> str | None:
    version = registry.version_of(name)
    if version is None:
        return None
    manifest = registry.load(name, version).manifest
    same = all(manifest[key] == getattr(facts, key) for key in ("data_hash", "code_version", "params"))
    return version if same else None
