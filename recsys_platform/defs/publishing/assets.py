"""The published tables: written as a new version, checked against their contracts, swapped in one step."""

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
from recsys_platform.recommender.data.training_data import latest_snapshot
from recsys_platform.recommender.lists.contracts import TABLES, contract_checks
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.publication import Publication, applied_rules, publish
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.recommender.training.variants import Variants
from recsys_platform.warehouse.port import Warehouse

_DESCRIPTIONS = {
    "user_recommendations": "One row per reader, model and rank: what to offer, by the rules in list_rules.yaml.",
    "similar_books": "One row per book and rank: the most similar books by the model's vectors.",
    "model_roles": "One row per model whose lists are published: which one is live, and why.",
    "popular_books": "One row per segment and rank: popular books overall and by language.",
}
_KEYS = {name: dg.AssetKey(["published", name]) for name in TABLES}
_CHECK = "keeps_its_promises"


def published_tables(rules: ListRules) -> dg.AssetsDefinition:
    """The published tables as assets, made together; what each is held to follows from the list rules."""
    checks = contract_checks(applied_rules(rules))
    as_assets = dg.multi_asset(
        specs=[_asset_spec(name, key) for name, key in _KEYS.items()],
        check_specs=[
            dg.AssetCheckSpec(_CHECK, asset=key, blocking=True, description="; ".join(checks[name]))
            for name, key in _KEYS.items()
        ],
        pool=WAREHOUSE_WRITER,
        name="published_tables",
    )
    return as_assets(_publish_tables)


def _asset_spec(name: str, key: dg.AssetKey) -> dg.AssetSpec:
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
    try:
        done = publish(
            latest_snapshot(hub),
            registry,
            warehouse,
            list_length=settings.list_length,
            now=naive_utc_now(),
            variants=variants,
            rules=list_rules,
        )
    except PublishError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(_publication_message(done))
    for sentence in done.ineffective_rules:
        context.log.warning("A list rule has no effect. %s", sentence)
    checks = contract_checks(applied_rules(list_rules))
    for name, key in _KEYS.items():
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=_publication_metadata(warehouse, name, done),
            check_results=[
                dg.AssetCheckResult(
                    asset_key=key,
                    check_name=_CHECK,
                    passed=True,
                    description=None if name in done.rows else "Not written again: checked when it was written",
                    metadata={"checks": list(checks[name])},
                )
            ],
        )


def _publication_metadata(warehouse: Warehouse, name: str, done: Publication) -> dict[str, Any]:
    return {
        **table_metadata(warehouse, f"published.{name}"),
        "version": done.version,
        "published_now": bool(done.rows),
        **({"list_rules_in_vain": " ".join(done.ineffective_rules)} if done.ineffective_rules else {}),
        **{str(model): version for model, version in done.model_versions.items()},
    }


def _publication_message(done: Publication) -> str:
    if not done.rows:
        return f"Version {done.version} is already live: nothing was published."
    return f"Version {done.version} is live: " + ", ".join(
        f"{rows:,} rows of {name}" for name, rows in done.rows.items()
    )
