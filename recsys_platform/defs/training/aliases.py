"""Which versions the aliases mean, as an asset that nobody makes: a change of them is noted, and what depends on them follows.

Belongs here: noticing that a person (or another process) moved an alias. Does not: moving it (recommender/registry/promotion.py).
"""

import dagster as dg

from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry

ALIASES_KEY, PROMOTION = dg.AssetKey(["models", "aliases"]), dg.AssetKey(["models", "promotion"])

aliases = dg.AssetSpec(
    ALIASES_KEY,
    description=(
        "The versions that the registry calls production and challenger. Noted by `recsys run` and by the sensor `moved_aliases` "
        "when a person has moved one: promotion, report and published tables follow."
    ),
    group_name="training",
    kinds={"mlflow"},
    owners=["team:data-science"],
)


def moved_aliases(instance: dg.DagsterInstance, registry: Registry) -> dg.AssetMaterialization | None:
    """What the aliases mean now, if that is not what promotion or the last note said; None before anything is live."""
    present = present_aliases(registry)
    if present[PRODUCTION] == "none" or present == _last_said(instance):
        return None
    return dg.AssetMaterialization(ALIASES_KEY, metadata=present)


def present_aliases(registry: Registry) -> dict[str, str]:
    """What each alias means, and since when a person's choice of production holds."""
    choice = registry.choice()
    versions = {alias: registry.version_of(alias) or "none" for alias in ALIASES}
    return versions | {"chosen": choice.sentence if choice else "by the gate"}


def _last_said(instance: dg.DagsterInstance) -> dict[str, str]:
    records = [
        record for key in (ALIASES_KEY, PROMOTION) for record in instance.fetch_materializations(key, limit=1).records
    ]
    newest = max(records, key=lambda record: record.storage_id, default=None)
    said = newest.asset_materialization.metadata if newest and newest.asset_materialization else {}
    return {name: str(said[name].value) for name in (*ALIASES, "chosen") if name in said}
