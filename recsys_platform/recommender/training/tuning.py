"""Hyperparameter search for a variant on an inner split, which the evaluation does not test on.

Belongs here: the search spaces, the search (Optuna's TPE: Bergstra et al. 2011; median pruning), its budget. Does not: training
(fitting.py), using the result.
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
OnTrial = Callable[[str, int, float], None]
"""Called after each trial with the variant, the number of trials and the best value so far."""
EPOCHS_PER_STAGE = 5
"""LightFM epochs between two evaluations, for pruning and early stopping."""


@dataclass(frozen=True)
class TuningParams:
    """Budget of a search: it ends after `trials` or `seconds`, whichever comes first. The objective is NDCG@`k`."""

    trials: int = 30
    seconds: float = 600.0
    k: int = 10
    max_users: int = 3_000
    seed: int = 0


@dataclass(frozen=True)
class TuningResult:
    """The best parameters, their NDCG@k (`value`), the NDCG@k of the variant as it is (`untuned`), and the number of trials."""

    name: str
    parameters: Mapping[str, Any]
    value: float
    untuned: float
    trials: int


def tune_variant(
    name: str, variants: Variants, split: Split, params: TuningParams, on_trial: OnTrial | None = None
) -> TuningResult:
    """Search better parameters for a variant on one split; deterministic for the same split, seed and number of trials.

    `parameters` of the result is empty if nothing better than the variant as it is was found.

    Raises ModelError if the model has no search space, NothingToLearnError if the data have nothing to learn from.
    """
    variant = variants[name]
    if variant.model not in SPACES:
        raise ModelError(f"{name} cannot be tuned: only {', '.join(SPACES)} can.")

    def objective(trial: "Trial") -> float:
        tried = variant_of(name, _with_parameters(variant, SPACES[variant.model](trial)))
        if variant.model == "lightfm":
            return _objective_by_stages(tried, split, params, trial)
        return mean_ndcg(
            Fitter(split.train, {**variants, name: tried}).fit_without_fallback(name), split, params.k, params.max_users
        )

    untuned = mean_ndcg(Fitter(split.train, variants).fit_without_fallback(name), split, params.k, params.max_users)
    found = search(name, objective, params, start=_searched_parameters(variant), on_trial=on_trial)
    if found.value > untuned:
        return replace(found, untuned=untuned)
    return replace(found, parameters={}, value=untuned, untuned=untuned)


def tune_all(
    names: Iterable[str], variants: Variants, split: Split, params: TuningParams, on_trial: OnTrial | None = None
) -> tuple[list[TuningResult], list[str]]:
    """Tune several variants; return the results, and a sentence for each variant that has nothing to learn from."""
    found, not_tuned = [], []
    for name in names:
        try:
            found.append(tune_variant(name, variants, split, params, on_trial))
        except NothingToLearnError as error:
            not_tuned.append(f"{name} is not tuned: {error}")
    return found, not_tuned


def search(
    name: str,
    objective: "Callable[[Trial], float]",
    params: TuningParams,
    *,
    start: Mapping[str, Any] | None = None,
    on_trial: OnTrial | None = None,
) -> TuningResult:
    """Maximise an objective; `start` is the first trial. `untuned` of the result is the value of the first trial."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=params.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=EPOCHS_PER_STAGE),
    )
    if start:
        study.enqueue_trial(dict(start), skip_if_exists=True)
    callbacks = [lambda study, trial: on_trial(name, trial.number + 1, study.best_value)] if on_trial else None
    study.optimize(objective, n_trials=params.trials, timeout=params.seconds, callbacks=callbacks)
    best = study.best_trial
    first = study.trials[0].value
    return TuningResult(
        name, {**best.params, **best.user_attrs}, best.values[0], first if first is not None else 0.0, len(study.trials)
    )


def _objective_by_stages(variant: Variant, split: Split, params: TuningParams, trial: "Trial") -> float:
    """Best value of all stages; sets `epochs` to the epoch of the best stage."""
    import optuna

    found: list[tuple[float, int]] = []

    def stage(epoch: int, model: Callable[[], Recommender]) -> bool:
        if epoch % EPOCHS_PER_STAGE:
            return True
        found.append((mean_ndcg(model(), split, params.k, params.max_users), epoch))
        trial.report(found[-1][0], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
        return max(found)[1] > epoch - 3 * EPOCHS_PER_STAGE

    if isinstance(variant.params, LightFMParams):
        fit_lightfm(split.train, replace(variant.params, epochs=MAX_EPOCHS), name=variant.name, on_stage=stage)
    value, epoch = max(found)
    trial.set_user_attr("epochs", epoch)
    return value


MAX_EPOCHS = 60


def _lightfm_space(trial: "Trial") -> dict[str, Any]:
    return {
        "components": trial.suggest_categorical("components", [16, 32, 48, 64]),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
        "user_alpha": trial.suggest_float("user_alpha", 1e-7, 1e-4, log=True),
        "book_alpha": trial.suggest_float("book_alpha", 1e-7, 1e-4, log=True),
        "max_sampled": trial.suggest_categorical("max_sampled", [10, 30, 100]),
        "feature_weight": trial.suggest_float("feature_weight", 0.05, 1.5, log=True),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _als_space(trial: "Trial") -> dict[str, Any]:
    return {
        "components": trial.suggest_categorical("components", [16, 32, 64, 128]),
        "regularization": trial.suggest_float("regularization", 0.01, 100, log=True),
        "alpha": trial.suggest_float("alpha", 0.5, 40, log=True),
        "iterations": trial.suggest_int("iterations", 5, 25),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _item_knn_space(trial: "Trial") -> dict[str, Any]:
    return {
        "weighting": trial.suggest_categorical("weighting", ["cosine", "tfidf", "bm25"]),
        "neighbours": trial.suggest_int("neighbours", 20, 1000, log=True),
        "k1": trial.suggest_float("k1", 0.1, 20, log=True),
        "b": trial.suggest_float("b", 0.0, 1.0),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _ease_space(trial: "Trial") -> dict[str, Any]:
    return {
        "regularization": trial.suggest_float("regularization", 5, 2000, log=True),
        "half_life": trial.suggest_float("half_life", 5, 500, log=True),
    }


def _sequence_space(trial: "Trial") -> dict[str, Any]:
    return {
        "regularization": trial.suggest_float("regularization", 0.5, 200, log=True),
        "half_life": trial.suggest_float("half_life", 1, 50, log=True),
    }


SPACES: Mapping[str, Space] = {
    "lightfm": _lightfm_space,
    "als": _als_space,
    "item_knn": _item_knn_space,
    "ease": _ease_space,
    "sequence": _sequence_space,
}


def _searched_parameters(variant: Variant) -> dict[str, Any]:
    """The variant's own values of the searched parameters."""
    import optuna

    space: Any = optuna.trial.FixedTrial(vars(variant.params))
    try:
        return SPACES[variant.model](space)
    except ValueError:  # outside the search space: start without it
        return {}


def _with_parameters(variant: Variant, found: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": variant.model, **vars(variant.params), **found}
