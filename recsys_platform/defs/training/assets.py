"""Assets of training: data set, models, evaluation, promotion."""

import base64
from typing import Any

import dagster as dg
import pandas as pd

from recsys_platform.common.clock import naive_utc_now, utc_today
from recsys_platform.common.errors import RecsysError
from recsys_platform.common.throttle import throttle
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import NIGHTLY, ON_CHANGE
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.table_metadata import markdown
from recsys_platform.defs.training.aliases import ALIASES_KEY, BETTER, PROMOTION, present_aliases
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data import training_data
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import DataError, NothingToLearnError
from recsys_platform.recommender.evaluation.drift import best_scores, drift
from recsys_platform.recommender.evaluation.evaluate import Evaluation, OnProgress
from recsys_platform.recommender.evaluation.results import StoredResults, store_evaluation, stored_results
from recsys_platform.recommender.lists.roles import model_roles
from recsys_platform.recommender.registry.gate import GateParams, better_than_baseline
from recsys_platform.recommender.registry.promotion import GateOutcome, apply_gate, choice_in_force, unchanged_outcome
from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import (
    EVALUATION,
    TrainingResult,
    candidate_versions,
    evaluate_variants,
    live_recipe,
    load_model,
    recipes_version,
    train,
)
from recsys_platform.recommender.training.variants import BASELINE, Variants, components_of
from recsys_platform.reports.evaluation_page import REPORT, evaluation_page, with_gate
from recsys_platform.reports.evaluation_plots import evaluation_plot
from recsys_platform.serving.rollout.controller import rollout_of
from recsys_platform.warehouse.port import Warehouse

INTERACTIONS = dg.AssetKey(["training", "interactions"])
EVALUATION_KEY = dg.AssetKey(["models", "evaluation"])
GATE = GateParams()
_LIKE = "readers_and_books_are_like_those_trained_on"
_MOVED_MEANWHILE = (
    "Production was moved while candidates were trained. It stays unchanged; the next `recsys run` compares with it."
)
_NOT_COMPARED = "Not compared: nothing is live yet, or its training snapshot no longer exists"
_DESCRIPTIONS = {
    "popularity": "What is popular lately, books in the reader's language first: the baseline and the fallback.",
    "lightfm": "Hybrid factor model trained with WARP.",
    "als": "Factors of readers and books by alternating least squares.",
    "item_knn": "Nearest books by shared readers.",
    "ease": "Books liked together: linear autoencoder in closed form.",
    "sequence": "Books liked one after another, in closed form.",
    "content": "Nearest books by words of the title, author and categories.",
    "blend": "Weighted sum of several variants' scores; the weights are chosen on the latest likes.",
}
"""Descriptions by model; all but the baseline fall back to popularity for readers without history."""


@dg.asset(
    key=INTERACTIONS,
    deps=[dg.AssetKey(["marts", name]) for name in training_data.MARTS],
    group_name="training",
    kinds={"parquet"},
    pool=WAREHOUSE_WRITER,
    automation_condition=NIGHTLY,
    check_specs=[dg.AssetCheckSpec("there_is_something_to_learn_from", asset=INTERACTIONS, blocking=True)],
)
def interactions(hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Training data: snapshot of the marts as Parquet under `curated/` in the hub, so that training can be repeated."""
    day = warehouse.frame(training_data.NEWEST_DAY)["day"][0].as_py() or utc_today()
    tables = training_data.marts_of(warehouse)
    training_data.write_snapshot(hub, day, tables)
    counts = {name: tables[name].num_rows for name in training_data.MARTS}
    passed = all(counts.values())
    return dg.MaterializeResult(
        metadata={**counts, "dagster/row_count": counts["fct_interactions"], "day": day.isoformat()},
        check_results=[
            dg.AssetCheckResult(
                passed=passed, metadata=counts, description=None if passed else _empty_marts_message(counts)
            )
        ],
    )


def _empty_marts_message(counts: dict[str, int]) -> str:
    empty = ", ".join(f"marts.{name}" for name, count in counts.items() if not count)
    return f"Nothing can be learned while {empty} is empty: load events of signed-in readers and a book snapshot first"


def training_assets(variants: Variants) -> list[dg.AssetsDefinition]:
    """The evaluation, a model for each variant, and the gate: their number and their code versions follow from the variants."""
    models = [_model_asset(name, variants) for name in variants]
    return [_evaluation_asset(variants), *models, promotion_asset(variants)]


def _evaluation_asset(variants: Variants) -> dg.AssetsDefinition:
    as_asset = dg.asset(
        key=EVALUATION_KEY,
        deps=[INTERACTIONS],
        group_name="training",
        kinds={"numpy"},
        pool=WAREHOUSE_WRITER,
        automation_condition=ON_CHANGE,
        code_version=recipes_version(variants),
    )
    return as_asset(evaluation)


def evaluation(
    context: dg.AssetExecutionContext,
    hub: dg.ResourceParam[Hub],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    variants: dg.ResourceParam[Variants],
) -> dg.MaterializeResult:
    """Evaluate every recipe: train on the past, test on the latest 20 % of likes of readers with history, by full ranking."""
    data = training_data.latest_dataset(hub)
    variants, live = live_recipe(variants, registry)
    try:
        result = evaluate_variants(
            data, variants=variants, params=EVALUATION, live=live, on_progress=_log_progress(context)
        )
    except DataError as error:
        return dg.MaterializeResult(metadata={"not measured": str(error)})
    store_evaluation(result, data.fingerprint(), warehouse, naive_utc_now())
    recipes = {name: variant.recipe(variants) for name, variant in variants.items()}
    plot = evaluation_plot(result)
    page = evaluation_page(
        result,
        plot=plot,
        baseline=BASELINE,
        data_hash=data.fingerprint(),
        recipes=recipes,
        window=data.window,
        now=naive_utc_now(),
        signal=data.signal,
    )
    hub.put(REPORT, page.encode())
    return dg.MaterializeResult(metadata={"report": hub.where(REPORT), **_evaluation_metadata(result, plot)})


def _trained_before(name: str, variants: Variants) -> list[str]:
    """The variants to train first: a blend's components, and the baseline that all fall back to."""
    return [part for part in (BASELINE, *components_of(variants[name])) if part != name]


def _model_asset(name: str, variants: Variants) -> dg.AssetsDefinition:
    @dg.asset(
        key=["models", name],
        deps=[
            INTERACTIONS,
            EVALUATION_KEY,
            *(dg.AssetKey(["models", part]) for part in _trained_before(name, variants)),
        ],
        group_name="training",
        kinds={"lightfm" if variants[name].model == "lightfm" else "numpy"},
        automation_condition=ON_CHANGE,
        code_version=recipes_version(variants, name, BASELINE),
        description=_DESCRIPTIONS[variants[name].model],
    )
    def model(
        context: dg.AssetExecutionContext,
        hub: dg.ResourceParam[Hub],
        warehouse: dg.ResourceParam[Warehouse],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        data = training_data.latest_dataset(hub)
        results = stored_results(data.fingerprint(), warehouse)
        metrics = results.metrics(name) if results and name in results.models else {}
        on_progress = _log_progress(context)
        try:
            done = train(
                name, data, registry, variants=variants, now=naive_utc_now(), metrics=metrics, on_progress=on_progress
            )
        except NothingToLearnError as error:
            return dg.MaterializeResult(metadata={"not trained": str(error)})
        if not done.is_new:
            context.log.info(f"Version {done.version} of the same data, recipe and code exists: it is reused.")
        return dg.MaterializeResult(metadata=_model_metadata(done, data, variants))

    return model


def _model_metadata(done: TrainingResult, data: Dataset, variants: Variants) -> dict[str, Any]:
    users, books = data.shape
    return {
        "version": done.version,
        "trained_now": done.is_new,
        "readers": users,
        "books": books,
        "interactions": len(data.interactions),
        "interactions_with_unknown_books": data.dropped,
        "recipe": dg.MetadataValue.json(variants[done.name].recipe(variants)),
    }


def promotion_asset(variants: Variants) -> dg.AssetsDefinition:
    """The gate, below the model of each variant."""
    as_asset = dg.asset(
        key=PROMOTION,
        deps=[EVALUATION_KEY, ALIASES_KEY, *(dg.AssetKey(["models", name]) for name in variants)],
        group_name="training",
        kinds={"mlflow"},
        pool=WAREHOUSE_WRITER,
        automation_condition=ON_CHANGE,
        check_specs=[
            dg.AssetCheckSpec(BETTER, asset=PROMOTION, description="A recipe beats popularity"),
            dg.AssetCheckSpec(
                _LIKE, asset=PROMOTION, description="Nothing has drifted since the live model was trained"
            ),
        ],
    )
    return as_asset(promotion)


def promotion(
    context: dg.AssetExecutionContext,
    hub: dg.ResourceParam[Hub],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    variants: dg.ResourceParam[Variants],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Promotion gate: a recipe that beats popularity and the live recipe goes live; the reasons for all others are reported."""
    data = training_data.latest_dataset(hub)
    known = present_aliases(registry)
    variants, live = live_recipe(variants, registry)
    moved = _measure_drift(hub, registry)
    candidates = candidate_versions(data, variants, live, registry, naive_utc_now())
    results, choice = stored_results(data.fingerprint(), warehouse), choice_in_force(registry, data)
    is_moved = present_aliases(registry)[PRODUCTION] != known[PRODUCTION]
    done = (
        unchanged_outcome(registry)
        if is_moved
        else apply_gate(candidates, live, results, registry, GATE, choice=choice, by_canary=settings.canary == "on")
    )
    if done.winner:
        context.log.info(_start_canary(settings, candidates[done.winner.candidate], done.winner.reasons[0]))
    if is_moved:
        context.log.warning(_MOVED_MEANWHILE)
    for decision in done.decisions:
        context.log.info(f"{decision.candidate}: " + " ".join(decision.reasons))
    roles = _update_report(hub, registry, done, is_evaluated=results is not None)
    # A move in the meantime must not count as known: `models/aliases` reports it, and promotion runs again.
    metadata = (known if is_moved else present_aliases(registry)) | roles | _decision_table(done)
    return dg.MaterializeResult(metadata=metadata, check_results=[_is_better(done, results), _is_like(moved)])


def _start_canary(settings: Settings, version: str, because: str) -> str:
    """Start a canary; a sentence about what was done, also if it cannot start: the old model goes on, and the next run tries again."""
    try:
        record = rollout_of(settings).start_after_gate(version, because)
    except RecsysError as error:
        return f"No canary was started: {error}"
    return f"The canary of {record.label} has started." if record else "No canary was started: another one is open."


def _update_report(hub: Hub, registry: Registry, done: GateOutcome, *, is_evaluated: bool) -> dict[str, str]:
    """Write the live model and the decisions into the evaluation report; return the reasons as metadata."""
    versions = {alias: registry.version_of(alias) for alias in ALIASES}
    roles = model_roles(registry, {alias: version for alias, version in versions.items() if version})
    if hub.exists(REPORT):
        nothing = "the live model was not evaluated on these data" if is_evaluated else "nothing could be evaluated"
        page = hub.get(REPORT).decode()
        updated = with_gate(page, roles=roles, decisions=done.decisions, why_nothing=nothing, is_of_today=is_evaluated)
        hub.put(REPORT, updated.encode())
    return {f"why_{each.role}": each.why for each in roles}


def _measure_drift(hub: Hub, registry: Registry) -> pd.DataFrame | None:
    """Measure drift since the live model was trained; None if nothing is live or its snapshot is gone."""
    version = registry.version_of(PRODUCTION)
    reference = training_data.snapshot_since(hub, registry.info(version).data_to) if version else None
    if not (version and reference):
        return None
    model, current = load_model(version, registry), training_data.latest_snapshot(hub)
    scores = [best_scores(model, training_data.dataset_from_marts(marts)) for marts in (reference, current)]
    try:
        return drift(reference, current, scores=(scores[0], scores[1]))
    except DataError:
        return None


def _is_like(moved: pd.DataFrame | None) -> dg.AssetCheckResult:
    if moved is None:
        return dg.AssetCheckResult(passed=True, check_name=_LIKE, description=_NOT_COMPARED)
    drifted = moved.loc[moved["verdict"] == "drifted", "what"].tolist()
    return dg.AssetCheckResult(
        passed=not drifted,
        check_name=_LIKE,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Drifted since training: {', '.join(drifted)}"
        if drifted
        else "Nothing has drifted since training",
        metadata={"population stability": dg.MetadataValue.md(markdown(moved))},
    )


def _decision_table(done: GateOutcome) -> dict[str, Any]:
    rows = [
        f"| {each.candidate} | {'may go live' if each.promote else 'refused'} | {' '.join(each.reasons)} |"
        for each in done.decisions
    ]
    return {
        "decisions": dg.MetadataValue.md("\n".join(["| candidate | decision | why |", "| --- | --- | --- |", *rows]))
    }


def _is_better(done: GateOutcome, results: StoredResults | None) -> dg.AssetCheckResult:
    candidates = [each.candidate for each in done.decisions]
    better = better_than_baseline(candidates, results, GATE) if results else []
    asked = f" ({results.task.description})" if results and results.task.description else ""
    refused = "The live model was not evaluated on these data" if done.unmeasured else "No recipe beats popularity"
    return dg.AssetCheckResult(
        passed=done.unmeasured or bool(better),
        check_name=BETTER,
        severity=dg.AssetCheckSeverity.WARN,
        description=(f"Better than popularity: {', '.join(better)}" if better else refused) + asked,
    )


def _evaluation_metadata(result: Evaluation, plot: bytes) -> dict[str, Any]:
    picture = base64.b64encode(plot).decode()
    return {
        "protocol": result.protocol,
        "comparison": dg.MetadataValue.md(result.markdown()),
        "plot": dg.MetadataValue.md(f"![NDCG of each model](data:image/png;base64,{picture})"),
        **{f"ndcg_{name}": result.value(name) for name in result.models},
    }


def _log_progress(context: dg.AssetExecutionContext) -> OnProgress:
    """Log each step that starts, and its progress every few seconds."""
    log_seldom = throttle(lambda what, done, total: context.log.info(f"{what}: {done} of {total}"))

    def report_progress(what: str, done: int, total: int) -> None:
        if total:
            log_seldom(what, done, total)
        else:
            context.log.info(what)

    return report_progress
