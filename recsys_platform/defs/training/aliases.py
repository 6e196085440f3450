"""The registry's aliases as an external asset: a change is recorded, and downstream assets follow.

Belongs here: detecting that a person or another process moved an alias. Does not: moving it (recommender/registry/promotion.py).
"""

import dagster as dg

from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry

ALIASES_KEY, PROMOTION = dg.AssetKey(["models", "aliases"]), dg.AssetKey(["models", "promotion"])
BETTER = "what_is_live_beats_popularity"
"""The check of the promotion that tells the gate's verdict of what is live."""

aliases = dg.AssetSpec(
    ALIASES_KEY,
    description=(
        "The production and challenger versions of the registry. Recorded by `recsys run` and by the sensor `moved_aliases` "
        "after a person moved one: promotion, report and published tables follow."
    ),
    group_name="training",
    kinds={"mlflow"},
    owners=["team:data-science"],
)


def moved_aliases(instance: dg.DagsterInstance, registry: Registry) -> dg.AssetMaterialization | None:
    """The present aliases, if they differ from the last record or promotion; None before anything is live."""
    present = present_aliases(registry)
    if present[PRODUCTION] == "none" or present == _last_recorded(instance):
        return None
    return dg.AssetMaterialization(ALIASES_KEY, metadata=present)


def present_aliases(registry: Registry) -> dict[str, str]:
    """The version of each alias, and who chose production."""
    choice = registry.choice()
    versions = {alias: registry.version_of(alias) or "none" for alias in ALIASES}
    return versions | {"chosen": choice.sentence if choice else "by the gate"}


def _last_recorded(instance: dg.DagsterInstance) -> dict[str, str]:
    records = [
        record for key in (ALIASES_KEY, PROMOTION) for record in instance.fetch_materializations(key, limit=1).records
    ]
    newest = max(records, key=lambda record: record.storage_id, default=None)
    recorded = newest.asset_materialization.metadata if newest and newest.asset_materialization else {}
    return {name: str(recorded[name].value) for name in (*ALIASES, "chosen") if name in recorded}
