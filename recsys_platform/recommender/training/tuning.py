"""Better parameters for a variant, found on an inner split: what is held out there is never tested on again.

Belongs here: which parameters are worth trying, the search (Optuna's TPE: Bergstra et al. 2011; median pruning), its budget. Does not:
training (fitting.py), what is done with the result.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recsys_platform.recommender.data.splits import Split
from recsys_platform.recommender.errors import ModelError, NothingToLearnError
from recsys_platform.recommender.evaluation.search_score import mean_ndcg
from recsys_platform.recommender.models.lightfm import LightFMParams, fit_lightfm
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import Variant, Variants, variant_of

if TYPE_CHECKING:
    from optuna import Trial

Space = Callable[["Trial"], dict[str, Any]]
Progress = Callable[[str, int, float], None]
"""Called after each trial with the variant, trials done, the best figure so far."""
STAGE = 5
"""Epochs of LightFM between two looks at how good it is: a hopeless trial ends there, a good one stops where it was best."""


@dataclass(frozen=True)
class TuningParams:
    """The search ends after `trials` trials or `seconds`, whatever comes first."""

    trials: int = 30
    seconds: float = 600.0
    k: int = 10
    max_users: int = 3_000
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """The best parameters, their NDCG@k on the split's test, that of the variant as it was, and how many trials there were."""

    name: str
    parameters: Mapping[str, Any]
    value: float
    untuned: float
    trials: int


def tune_variant(
    name: str, variants: Variants, split: Split, params: TuningParams, progress: Progress | None = None
) -> Tuned:
    """Search the space of a variant's model on one split; the same split, seed and number of trials give the same result.

    Where nothing better than the variant as it is was found, no parameters are.

    Raises ModelError if there is nothing to tune about it, NothingToLearnError if the data have nothing for it to learn from.
    """
    variant = variants[name]
    if variant.model not in SPACES:
        raise ModelError(f"There is nothing to tune about {name}: {', '.join(SPACES)} can be tuned.")

    def objective(trial: "Trial") -> float:
        tried = variant_of(name, _changed(variant, SPACES[variant.model](trial)))
        if variant.model == "lightfm":
            return _by_stages(tried, split, params, trial)
        return mean_ndcg(Fitter(split.train, {**variants, name: tried}).bare(name), split, params.k, params.max_users)

    untuned = mean_ndcg(Fitter(split.train, variants).bare(name), split, params.k, params.max_users)
    found = search(name, objective, params, start=_start(variant), progress=progress)
    if found.value > untuned:
        return replace(found, untuned=untuned)
    return replace(found, parameters={}, value=untuned, untuned=untuned)


def tune_all(
    names: Iterable[str], variants: Variants, split: Split, params: TuningParams, progress: Progress | None = None
) -> tuple[list[Tuned], list[str]]:
    """What was found for each variant, and a sentence for each that has nothing to learn from."""
    found, not_tuned = [], []
    for name in names:
        try:
            found.append(tune_variant(name, variants, split, params, progress))
        except NothingToLearnError as error:
            not_tuned.append(f"{name} is not tuned: {error}")
    return found, not_tuned


def search(
    name: str,
    objective: "Callable[[Trial], float]",
    params: TuningParams,
    *,
    start: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Maximise a figure; `start` is tried first. `untuned` is the figure of the first trial."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=params.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=STAGE),
    )
    if start:
        study.enqueue_trial(dict(start), skip_if_exists=True)
    heard = [lambda study, trial: progress(name, trial.number + 1, study.best_value)] if progress else None
    study.optimize(objective, n_trials=params.trials, timeout=params.seconds, callbacks=heard)
    best = study.best_trial
    first = study.trials[0].value
    return Tuned(
        name, {**best.params, **best.user_attrs}, best.values[0], first if first is not None else 0.0, len(study.trials)
    )


def _by_stages(variant: Variant, split: Split, params: TuningParams, trial: "Trial") -> float:
    """The best figure on the way; `epochs` becomes the epoch where it was reached."""
    import optuna

    found: list[tuple[float, int]] = []

    def stage(epoch: int, model: Callable[[], Recommender]) -> bool:
        if epoch % STAGE:
            return True
        found.append((mean_ndcg(model(), split, params.k, params.max_users), epoch))
        trial.report(found[-1][0], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
        return max(found)[1] > epoch - 3 * STAGE

    if isinstance(variant.params, LightFMParams):
        fit_lightfm(split.train, replace(variant.params, epochs=MOST_EPOCHS), name=variant.name, on_stage=stage)
    value, epoch = max(found)
    trial.set_user_attr("epochs", epoch)
    return value


MOST_EPOCHS = 60


def _lightfm(trial: "Trial") -> dict[str, Any]:
    return {
        "components": trial.suggest_categorical("components", [16, 32, 48, 64]),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "user_alpha": trial.suggest_float("user_alpha", 1e-7, 1e-4, log=True),
        "book_alpha": trial.suggest_float("book_alpha", 1e-7, 1e-4, log=True),
        "max_sampled": trial.suggest_categorical("max_sampled", [10, 30, 100]),
        "feature_weight": trial.suggest_float("feature_weight", 0.05, 1.5, log=True),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _als(trial: "Trial") -> dict[str, Any]:
    return {
        "components": trial.suggest_categorical("components", [16, 32, 64, 128]),
        "regularization": trial.suggest_float("regularization", 0.01, 100, log=True),
        "alpha": trial.suggest_float("alpha", 0.5, 40, log=True),
        "iterations": trial.suggest_int("iterations", 5, 25),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _item_knn(trial: "Trial") -> dict[str, Any]:
    return {
        "weighting": trial.suggest_categorical("weighting", ["cosine", "tfidf", "bm25"]),
        "neighbours": trial.suggest_int("neighbours", 20, 1000, log=True),
        "k1": trial.suggest_float("k1", 0.1, 20, log=True),
        "b": trial.suggest_float("b", 0.0, 1.0),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _ease(trial: "Trial") -> dict[str, Any]:
    return {
        "regularization": trial.suggest_float("regularization", 5, 2000, log=True),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _sequence(trial: "Trial") -> dict[str, Any]:
    return {
        "regularization": trial.suggest_float("regularization", 0.5, 200, log=True),
        "half_life": trial.suggest_float("half_life", 1, 50, log=True),
    }


SPACES: Mapping[str, Space] = {
    "lightfm": _lightfm,
    "als": _als,
    "item_knn": _item_knn,
    "ease": _ease,
    "sequence": _sequence,
}


def _start(variant: Variant) -> dict[str, Any]:
    """The variant's own parameters among those that are searched."""
    import optuna

    space: Any = optuna.trial.FixedTrial(vars(variant.params))
    try:
        return SPACES[variant.model](space)
    except ValueError:  # outside of what is searched: the search goes without it
        return {}


def _changed(variant: Variant, found: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": variant.model, **vars(variant.params), **found}
