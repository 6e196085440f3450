"""The data set, the models and what they are worth."""

import base64
import datetime as dt
from typing import Any

import dagster as dg
import pyarrow as pa

from recsys_platform.defs.automation.conditions import NIGHTLY, ON_NEWS
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.telling import every_few_seconds
from recsys_platform.hub.store import Hub
from recsys_platform.recommender import curated
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation import Evaluation, EvaluationParams
from recsys_platform.recommender.fitting import Listener
from recsys_platform.recommender.plots import evaluation_plot
from recsys_platform.recommender.registry import Registry
from recsys_platform.recommender.training import evaluate_variants, train
from recsys_platform.recommender.variants import BASELINE, load_variants
from recsys_platform.warehouse.port import Warehouse

INTERACTIONS = dg.AssetKey(["training", "interactions"])
LIVE_CANDIDATE = "blend"
VARIANTS = load_variants()
EVALUATION = EvaluationParams(max_users=10_000)
_NOT_WORSE = "blend_is_not_worse_than_popularity"
_DESCRIPTIONS = {
    "popularity": "What everybody reads lately, the books in the reader's language first: the baseline and the fallback.",
    "lightfm": "Hybrid factor model trained with WARP.",
    "als": "Factors of readers and books by alternating least squares.",
    "item_knn": "Each book's neighbours, by the readers they share.",
    "ease": "Which books are liked together: linear autoencoder in closed form.",
    "sequence": "Which books are liked after which, in closed form.",
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
    day = warehouse.frame(curated.NEWEST_DAY)["day"][0].as_py() or dt.datetime.now(dt.UTC).date()
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


def _model_asset(name: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["models", name],
        deps=[INTERACTIONS],
        group_name="training",
        kinds={"lightfm" if VARIANTS[name].model == "lightfm" else "numpy"},
        automation_condition=ON_NEWS,
        description=_DESCRIPTIONS[VARIANTS[name].model],
    )
    def model(
        context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], registry: dg.ResourceParam[Registry]
    ) -> dg.MaterializeResult:
        data = curated.newest_dataset(hub)
        done = train(name, data, registry, variants=VARIANTS, now=_now(), listener=_tell(context))
        if not done.is_new:
            context.log.info(f"{done.version} was trained on exactly this data: it stays.")
        users, books = data.shape
        return dg.MaterializeResult(
            metadata={
                "version": done.version,
                "trained_now": done.is_new,
                "readers": users,
                "books": books,
                "interactions": len(data.interactions),
                "interactions_with_unknown_books": data.dropped,
                "recipe": dg.MetadataValue.json(VARIANTS[name].recipe(VARIANTS)),
            }
        )

    return model


models = [_model_asset(name) for name in VARIANTS]


@dg.asset(
    key=["models", "evaluation"],
    deps=[INTERACTIONS, *(dg.AssetKey(["models", name]) for name in VARIANTS)],
    group_name="training",
    kinds={"numpy"},
    pool=WAREHOUSE_WRITER,
    automation_condition=ON_NEWS,
    check_specs=[dg.AssetCheckSpec(_NOT_WORSE, asset=["models", "evaluation"])],
)
def evaluation(
    context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """Every variant trained again without the last 20 % that each reader liked, and tested on that: full ranking, NDCG and more."""
    data = curated.newest_dataset(hub)
    try:
        result = evaluate_variants(data, variants=VARIANTS, params=EVALUATION, listener=_tell(context))
    except DataError as error:
        return dg.MaterializeResult(
            check_results=[dg.AssetCheckResult(passed=True, description=f"not measured: {error}")]
        )
    warehouse.replace_rows("ops.model_evaluations", evaluation_rows(result, data.fingerprint()), key="data_hash")
    return dg.MaterializeResult(metadata=_evaluation_metadata(result), check_results=[_not_worse(result)])


def evaluation_rows(result: Evaluation, data_hash: str) -> pa.Table:
    """The table of an evaluation as rows of `ops.model_evaluations`."""
    frame = result.table.assign(data_hash=data_hash, evaluated_at=_now(), k=result.k)
    return pa.Table.from_pandas(frame, preserve_index=False)


def _evaluation_metadata(result: Evaluation) -> dict[str, Any]:
    picture = base64.b64encode(evaluation_plot(result)).decode()
    return {
        "comparison": dg.MetadataValue.md(result.markdown()),
        "plot": dg.MetadataValue.md(f"![NDCG of each model](data:image/png;base64,{picture})"),
        **{f"ndcg_{name}": result.value(name) for name in VARIANTS},
    }


def _not_worse(result: Evaluation) -> dg.AssetCheckResult:
    """Worse means: even the upper end of the interval of the ratio lies below 1."""
    ratio = result.ratios.query("model == @LIVE_CANDIDATE and segment == 'all'").iloc[0]
    sentence = f"NDCG@{result.k} of {LIVE_CANDIDATE} is {ratio['value']:.2f} × {BASELINE} ({ratio['low']:.2f} to {ratio['high']:.2f})"
    return dg.AssetCheckResult(
        passed=bool(ratio["high"] >= 1),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"ratio": float(ratio["value"])},
        description=sentence,
    )


def _tell(context: dg.AssetExecutionContext) -> Listener:
    return every_few_seconds(lambda what, done, total: context.log.info(f"training {what}: {done} of {total} epochs"))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
