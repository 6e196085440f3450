"""Hyperparameter search for the variants, on demand."""

import dagster as dg
import yaml
from pydantic import Field

from recsys_platform.defs.pools import ON_DEMAND
from recsys_platform.defs.training.assets import INTERACTIONS
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data import training_data
from recsys_platform.recommender.data.splits import hold_out
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.recommender.training.tuning import SPACES, TuningParams, TuningResult, tune_all
from recsys_platform.recommender.training.variants import Variant, Variants, variant_of


class TuningConfig(dg.Config):
    """Variants to tune (default: all that can be tuned) and the budget per variant."""

    variants: list[str] = Field(default_factory=list)
    trials: int = 30
    seconds: float = 300
    seed: int = 0


@dg.asset(
    key=["training", "tuning"],
    deps=[INTERACTIONS],
    group_name="training",
    kinds={"optuna", "mlflow"},
    tags={ON_DEMAND: "true"},
)
def tuning(
    context: dg.AssetExecutionContext,
    config: TuningConfig,
    hub: dg.ResourceParam[Hub],
    registry: dg.ResourceParam[Registry],
    variants: dg.ResourceParam[Variants],
) -> dg.MaterializeResult:
    """Optuna on an inner split: the evaluation's test data are left out, trials are scored on the latest of the rest."""
    inner = hold_out(hold_out(training_data.latest_dataset(hub)).train)
    params = TuningParams(trials=config.trials, seconds=config.seconds, seed=config.seed)
    names = config.variants or [name for name, variant in variants.items() if variant.model in SPACES]

    def log_trial(name: str, done: int, best: float) -> None:
        context.log.info(f"{name}: {done} trials, NDCG@{params.k} {best:.4f} so far")

    found, not_tuned = tune_all(names, variants, inner, params, log_trial)
    for each in found:
        figures = {"ndcg": each.value, "ndcg_before": each.untuned, "trials": float(each.trials)}
        registry.log_tuning(each.name, each.parameters, figures)
    return dg.MaterializeResult(
        metadata={
            "found": dg.MetadataValue.md(_results_table(found)),
            "for variants.yaml": dg.MetadataValue.md(f"```yaml\n{_as_yaml(found, variants)}```"),
            **({"not tuned": " ".join(not_tuned)} if not_tuned else {}),
        }
    )


def _results_table(found: list[TuningResult]) -> str:
    rows = [f"| {each.name} | {each.untuned:.4f} | {each.value:.4f} | {each.trials} |" for each in found]
    return "\n".join(["| variant | NDCG@10 as it is | best found | trials |", "| --- | --- | --- | --- |", *rows])


def _as_yaml(found: list[TuningResult], variants: Variants) -> str:
    return yaml.safe_dump({each.name: _variant_yaml(variants[each.name], each) for each in found}, sort_keys=False)


def _variant_yaml(variant: Variant, tuned: TuningResult) -> dict[str, object]:
    own = {} if variant.model == variant.name else {"model": variant.model}
    as_it_is, defaults = vars(variant.params), vars(variant_of(variant.name, {"model": variant.model}).params)
    kept = {key: value for key, value in as_it_is.items() if value != defaults[key]}
    return own | {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in (kept | dict(tuned.parameters)).items()
    }
