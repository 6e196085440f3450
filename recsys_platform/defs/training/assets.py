"""The data set, the models and what they are worth."""

import base64
from typing import Any

import dagster as dg
import pandas as pd

from recsys_platform.common.clock import naive_utc_now, utc_today
from recsys_platform.common.throttle import throttle
from recsys_platform.defs.automation.conditions import NIGHTLY, ON_CHANGE
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.table_metadata import markdown
from recsys_platform.defs.training.aliases import ALIASES_KEY, PROMOTION, present_aliases
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data import training_data as curated
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import DataError, NothingToLearnError
from recsys_platform.recommender.evaluation.drift import best_scores, drift
from recsys_platform.recommender.evaluation.evaluate import Evaluation, Listener
from recsys_platform.recommender.evaluation.results import MeasuredRows, keep, measured_on
from recsys_platform.recommender.lists.roles import roles_of
from recsys_platform.recommender.registry.gate import GateParams, better_than_baseline
from recsys_platform.recommender.registry.promotion import Judgement, held_choice, judge, left_alone
from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import (
    EVALUATION,
    Registered,
    candidates_of,
    evaluate_variants,
    live_recipe,
    load_model,
    recipes_version,
    train,
)
from recsys_platform.recommender.training.variants import BASELINE, Variants, components_of
from recsys_platform.reports.evaluation_page import REPORT, evaluation_page, with_gate
from recsys_platform.reports.evaluation_plots import evaluation_plot
from recsys_platform.warehouse.port import Warehouse

INTERACTIONS = dg.AssetKey(["training", "interactions"])
EVALUATION_KEY = dg.AssetKey(["models", "evaluation"])
GATE = GateParams()
_BETTER, _LIKE = "what_is_live_beats_popularity", "readers_and_books_are_like_those_trained_on"
_MOVED = "Production was moved while candidates were trained: it stays what it is, and the next `recsys run` judges against it."
_UNCOMPARED = "Not compared: nothing is live yet, or the data that it was trained on are not kept (any more)"
_DESCRIPTIONS = {
    "popularity": "What everybody reads lately, the books in the reader's language first: the baseline and the fallback.",
    "lightfm": "Hybrid factor model trained with WARP.",
    "als": "Factors of readers and books by alternating least squares.",
    "item_knn": "Each book's neighbours, by the readers they share.",
    "ease": "Which books are liked together: linear autoencoder in closed form.",
    "sequence": "Which books are liked after which, in closed form.",
    "content": "Each book's neighbours by words of the title, author and categories.",
    "blend": "Several variants' scores added on one scale, weights chosen on what readers liked last.",
}
"""What a model is, by its kind; all but the baseline fall back on popularity for readers without history."""


@dg.asset(
    key=INTERACTIONS,
    deps=[dg.AssetKey(["marts", name]) for name in curated.MARTS],
    group_name="training",
    kinds={"parquet"},
    pool=WAREHOUSE_WRITER,
    automation_condition=NIGHTLY,
    check_specs=[dg.AssetCheckSpec("there_is_something_to_learn_from", asset=INTERACTIONS, blocking=True)],
)
def interactions(hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """The marts that models learn from, kept as Parquet under `curated/` in the hub, so that a training can be repeated."""
    day = warehouse.frame(curated.NEWEST_DAY)["day"][0].as_py() or utc_today()
    tables = {name: warehouse.frame(sql) for name, sql in curated.MARTS.items()}
    curated.keep(hub, day, tables)
    counts = {name: table.num_rows for name, table in tables.items()}
    passed = all(counts.values())
    return dg.MaterializeResult(
        metadata={**counts, "dagster/row_count": counts["fct_interactions"], "day": day.isoformat()},
        check_results=[
            dg.AssetCheckResult(passed=passed, metadata=counts, description=None if passed else _nothing(counts))
        ],
    )


def _nothing(counts: dict[str, int]) -> str:
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
    """Every recipe trained on the past and tested on the 20 % that readers with history liked last: full ranking, NDCG and more."""
    data = curated.newest_dataset(hub)
    variants, live = live_recipe(variants, registry)
    try:
        result = evaluate_variants(data, variants=variants, params=EVALUATION, live=live, listener=_tell(context))
    except DataError as error:
        return dg.MaterializeResult(metadata={"not measured": str(error)})
    keep(result, data.fingerprint(), warehouse, naive_utc_now())
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


def _made_of(name: str, variants: Variants) -> list[str]:
    """The variants that are trained before one: a blend's components, and what newcomers get of all."""
    return [part for part in (BASELINE, *components_of(variants[name])) if part != name]


def _model_asset(name: str, variants: Variants) -> dg.AssetsDefinition:
    @dg.asset(
        key=["models", name],
        deps=[INTERACTIONS, EVALUATION_KEY, *(dg.AssetKey(["models", part]) for part in _made_of(name, variants))],
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
        data = curated.newest_dataset(hub)
        measured = measured_on(data.fingerprint(), warehouse)
        metrics = measured.metrics(name) if measured and name in measured.models else {}
        listener = _tell(context)
        try:
            done = train(
                name, data, registry, variants=variants, now=naive_utc_now(), metrics=metrics, listener=listener
            )
        except NothingToLearnError as error:
            return dg.MaterializeResult(metadata={"not trained": str(error)})
        if not done.is_new:
            context.log.info(f"Version {done.version} was trained on exactly this data: it stays.")
        return dg.MaterializeResult(metadata=_model_metadata(done, data, variants))

    return model


def _model_metadata(done: Registered, data: Dataset, variants: Variants) -> dict[str, Any]:
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
            dg.AssetCheckSpec(_BETTER, asset=PROMOTION, description="A recipe beats popularity"),
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
) -> dg.MaterializeResult:
    """The gate: what is better than popularity and than what is live goes live; every other candidate is told why not."""
    data = curated.newest_dataset(hub)
    known = present_aliases(registry)
    variants, live = live_recipe(variants, registry)
    moved = _drift(hub, registry)
    candidates = candidates_of(data, variants, live, registry, naive_utc_now())
    measured, held = measured_on(data.fingerprint(), warehouse), held_choice(registry, data)
    is_moved = present_aliases(registry)[PRODUCTION] != known[PRODUCTION]
    done = left_alone(registry) if is_moved else judge(candidates, live, measured, registry, GATE, held=held)
    if is_moved:
        context.log.warning(_MOVED)
    for decision in done.decisions:
        context.log.info(f"{decision.candidate}: " + " ".join(decision.reasons))
    roles = _retell(hub, registry, done, is_measured=measured is not None)
    # What somebody moved meanwhile must not count as known: `models/aliases` tells it, and promotion is made again.
    metadata = (known if is_moved else present_aliases(registry)) | roles | _decisions(done)
    return dg.MaterializeResult(metadata=metadata, check_results=[_is_better(done, measured), _is_like(moved)])


def _retell(hub: Hub, registry: Registry, done: Judgement, *, is_measured: bool) -> dict[str, str]:
    """Write what is live, and why, into the page of the evaluation; the same as metadata."""
    versions = {alias: registry.version_of(alias) for alias in ALIASES}
    roles = roles_of(registry, {alias: version for alias, version in versions.items() if version})
    if hub.exists(REPORT):
        nothing = "what is live was not measured on these data" if is_measured else "nothing could be measured"
        page = hub.get(REPORT).decode()
        told = with_gate(page, roles=roles, decisions=done.decisions, why_nothing=nothing, is_of_today=is_measured)
        hub.put(REPORT, told.encode())
    return {f"why_{each.role}": each.why for each in roles}


def _drift(hub: Hub, registry: Registry) -> pd.DataFrame | None:
    """How far the world has moved since the live model was trained; None if nothing is live or its data are not kept."""
    version = registry.version_of(PRODUCTION)
    reference = curated.marts_trained_on(hub, registry.listed(version).data_to) if version else None
    if not (version and reference):
        return None
    model, current = load_model(version, registry), curated.newest_marts(hub)
    scores = [best_scores(model, curated.dataset_of(marts)) for marts in (reference, current)]
    try:
        return drift(reference, current, scores=(scores[0], scores[1]))
    except DataError:
        return None


def _is_like(moved: pd.DataFrame | None) -> dg.AssetCheckResult:
    if moved is None:
        return dg.AssetCheckResult(passed=True, check_name=_LIKE, description=_UNCOMPARED)
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


def _decisions(done: Judgement) -> dict[str, Any]:
    rows = [
        f"| {each.candidate} | {'may go live' if each.promote else 'refused'} | {' '.join(each.reasons)} |"
        for each in done.decisions
    ]
    return {
        "decisions": dg.MetadataValue.md("\n".join(["| candidate | decision | why |", "| --- | --- | --- |", *rows]))
    }


def _is_better(done: Judgement, measured: MeasuredRows | None) -> dg.AssetCheckResult:
    candidates = [each.candidate for each in done.decisions]
    better = better_than_baseline(candidates, measured, GATE) if measured else []
    asked = f" ({measured.task.in_words})" if measured and measured.task.in_words else ""
    refused = "What is live was not measured on these data" if done.unmeasured else "No recipe beats popularity"
    return dg.AssetCheckResult(
        passed=done.unmeasured or bool(better),
        check_name=_BETTER,
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


def _tell(context: dg.AssetExecutionContext) -> Listener:
    """Each thing that begins, and now and then how far it is."""
    seldom = throttle(lambda what, done, total: context.log.info(f"{what}: {done} of {total}"))

    def tell(what: str, done: int, total: int) -> None:
        if total:
            seldom(what, done, total)
        else:
            context.log.info(what)

    return tell
