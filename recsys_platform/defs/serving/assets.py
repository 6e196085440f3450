"""What the recommendation API reads: a snapshot of readers, lists and books, and the artifacts of the models in use."""

import dagster as dg

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import ON_CHANGE
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data.training_data import latest_snapshot
from recsys_platform.recommender.lists.contracts import TABLES
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.serving.publishing import write_serving_files
from recsys_platform.serving.snapshot import read_manifest
from recsys_platform.warehouse.port import Warehouse


@dg.asset(
    key=dg.AssetKey(["serving", "snapshot"]),
    deps=[dg.AssetKey(["published", name]) for name in TABLES],
    group_name="published",
    kinds={"lmdb"},
    pool=WAREHOUSE_WRITER,
    automation_condition=ON_CHANGE,
)
def serving_snapshot(
    hub: dg.ResourceParam[Hub],
    warehouse: dg.ResourceParam[Warehouse],
    registry: dg.ResourceParam[Registry],
    settings: dg.ResourceParam[Settings],
    list_rules: dg.ResourceParam[ListRules],
) -> dg.MaterializeResult:
    """All that the recommendation API reads, in one folder: profiles, lists and books, and the models without readers."""
    folder = write_serving_files(
        settings.serving_root,
        warehouse=warehouse,
        marts=latest_snapshot(hub),
        registry=registry,
        rules=list_rules,
    )
    manifest = read_manifest(folder)
    return dg.MaterializeResult(
        metadata={
            "version": manifest["version"],
            "publication": manifest["publication"],
            "readers": manifest["readers"],
            "books": manifest["books"],
            "path": dg.MetadataValue.path(folder),
        }
    )
