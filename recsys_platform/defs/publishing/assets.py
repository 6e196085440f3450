"""The tables that readers are served from: written as a new version, held to their promises, swapped in one step."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.common.errors import PublishError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import ON_CHANGE
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.table_metadata import table_metadata
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data.training_data import newest_marts
from recsys_platform.recommender.lists.contracts import TABLES, promises_of
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.publication import Publication, made_by, publish
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.recommender.training.variants import Variants
from recsys_platform.warehouse.port import Warehouse

_DESCRIPTIONS = {
    "user_recommendations": "One row per reader, model and rank: what to offer, by the rules in list_rules.yaml.",
    "similar_books": "One row per book and rank: the books nearest to it in the model's space.",
    "model_roles": "One row per model whose lists are published: which one is live, and why.",
    "popular_books": "One row per segment and rank: what everybody, or everybody of a language, reads.",
}
_KEYS = {name: dg.AssetKey(["published", name]) for name in TABLES}
_CHECK = "keeps_its_promises"


def published_tables(rules: ListRules) -> dg.AssetsDefinition:
    """The published tables as assets, made together; what each is held to follows from the list rules."""
    promises = promises_of(made_by(rules))
    as_assets = dg.multi_asset(
        specs=[_spec(name, key) for name, key in _KEYS.items()],
        check_specs=[
            dg.AssetCheckSpec(_CHECK, asset=key, blocking=True, description="; ".join(promises[name]))
            for name, key in _KEYS.items()
        ],
        pool=WAREHOUSE_WRITER,
        name="published_tables",
    )
    return as_assets(_publish_tables)


def _spec(name: str, key: dg.AssetKey) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=[dg.AssetKey(["models", "promotion"])],
        group_name="published",
        kinds={"duckdb"},
        description=_DESCRIPTIONS[name],
        automation_condition=ON_CHANGE,
    )


def _publish_tables(
    context: dg.AssetExecutionContext,
    hub: dg.ResourceParam[Hub],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    settings: dg.ResourceParam[Settings],
    variants: dg.ResourceParam[Variants],
    list_rules: dg.ResourceParam[ListRules],
) -> Iterator[dg.MaterializeResult]:
    """Write, check and swap the tables together."""
    now = naive_utc_now()
    try:
        done = publish(
            newest_marts(hub),
            registry,
            warehouse,
            list_length=settings.list_length,
            now=now,
            variants=variants,
            rules=list_rules,
        )
    except PublishError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(_sentence(done))
    for said in done.unheeded:
        context.log.warning("The list rules ask for what cannot be. %s", said)
    promises = promises_of(made_by(list_rules))
    for name, key in _KEYS.items():
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=_metadata(warehouse, name, done),
            check_results=[
                dg.AssetCheckResult(
                    asset_key=key,
                    check_name=_CHECK,
                    passed=True,
                    description=None
                    if name in done.rows
                    else "Not written anew: held to its promises when it was written",
                    metadata={"promises": list(promises[name])},
                )
            ],
        )


def _metadata(warehouse: Warehouse, name: str, done: Publication) -> dict[str, Any]:
    return {
        **table_metadata(warehouse, f"published.{name}"),
        "version": done.version,
        "published_now": bool(done.rows),
        **({"list_rules_in_vain": " ".join(done.unheeded)} if done.unheeded else {}),
        **{str(model): version for model, version in done.model_versions.items()},
    }


def _sentence(done: Publication) -> str:
    if not done.rows:
        return f"Version {done.version} is live already: nothing was published."
    return f"Version {done.version} is live: " + ", ".join(
        f"{rows:,} rows of {name}" for name, rows in done.rows.items()
    )
