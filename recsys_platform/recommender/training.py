"""From a data set to registered models and their evaluation: the variants, and how each is fitted.

Belongs here: which variants there are, when a version can be used again, what an evaluation compares. Does not: the models
themselves (models/), storage (registry.py).
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as version_of_package
from typing import Any, Literal, get_args

import numpy as np

from recsys_platform.recommender.dataset import Dataset
from recsys_platform.recommender.evaluation import Evaluation, EvaluationParams, evaluate
from recsys_platform.recommender.models.fallback import WithFallback
from recsys_platform.recommender.models.lightfm import LightFMParams, OnEpoch, fit_lightfm
from recsys_platform.recommender.models.popularity import PopularityParams, fit_popularity
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.registry import Facts, ModelVersion, Registry
from recsys_platform.recommender.splits import hold_out_latest

Variant = Literal["popularity", "lightfm"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
BASELINE: Variant = "popularity"
Fit = Callable[[Dataset, OnEpoch], Recommender]

POPULARITY = PopularityParams()
LIGHTFM = LightFMParams()
PARAMS: Mapping[Variant, dict[str, Any]] = {"popularity": asdict(POPULARITY), "lightfm": asdict(LIGHTFM)}


@dataclass(frozen=True)
class Registered:
    """A version of a variant; `is_new` is false where the same data, parameters and code had given it before."""

    name: Variant
    version: str
    is_new: bool


def fit(name: Variant, data: Dataset, on_epoch: OnEpoch | None = None) -> Recommender:
    """The variant trained on all of a data set; users it does not know get popularity."""
    popularity = fit_popularity(data, POPULARITY)
    if name == "popularity":
        return popularity
    return WithFallback(fit_lightfm(data, LIGHTFM, on_epoch=on_epoch), popularity)


def train(
    name: Variant, data: Dataset, registry: Registry, *, now: dt.datetime, on_epoch: OnEpoch | None = None
) -> Registered:
    """Fit, register and put into production; training is deterministic, so what was trained before is used again."""
    facts = _facts(name, data, now)
    known = _same_as_production(registry, name, facts)
    if known:
        return Registered(name, known, is_new=False)
    trained = TrainedModel(fit(name, data, on_epoch), data.user_ids, data.book_ids)
    version = registry.log(name, trained.arrays(), facts)
    registry.set_alias(name, version)
    return Registered(name, version, is_new=True)


def production_model(name: Variant, registry: Registry) -> tuple[ModelVersion, TrainedModel]:
    """The version in production, made whole; `RegistryError` if there is none."""
    stored = registry.load(name, registry.version_of(name) or "in production")
    return stored, restore(name, stored.arrays)


def evaluate_variants(data: Dataset, *, params: EvaluationParams, on_epoch: OnEpoch | None = None) -> Evaluation:
    """Every variant, trained on the past of each user and tested on the books liked last."""
    split = hold_out_latest(data)
    models = [fit(name, split.train, on_epoch) for name in VARIANTS]
    return evaluate(models, split, params, baseline=BASELINE)


def _facts(name: Variant, data: Dataset, now: dt.datetime) -> Facts:
    first, last = (_moment(time) for time in data.window or (None, None))
    return Facts(
        created_at=now,
        data_hash=data.fingerprint(),
        code_version=version_of_package("recsys-platform"),
        data_from=first,
        data_to=last,
        params=PARAMS[name],
    )


def _moment(time: np.datetime64 | None) -> dt.datetime | None:
    return None if time is None else time.astype("datetime64[us]").item()


def _same_as_production(registry: Registry, name: Variant, facts: Facts) -> str | None:
    version = registry.version_of(name)
    if version is None:
        return None
    manifest = registry.load(name, version).manifest
    same = all(manifest[key] == getattr(facts, key) for key in ("data_hash", "code_version", "params"))
    return version if same else None
