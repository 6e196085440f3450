"""The history of readers is the same on both engines, also where a day is fetched again."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recsys_platform.config.dbt_profile import variables_for_dbt
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.transform.project import ROOT
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_snapshot
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.snapshots import deliver

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

DAYS = [dt.date(2026, 11, 20), dt.date(2026, 11, 20), dt.date(2026, 11, 20), dt.date(2026, 11, 21)]
TIERS = ["free", "premium", "free", "premium"]
HISTORY = "select user_id, tier, valid_from, valid_to, version_id from marts.dim_users_history order by 1, 3, 4, 2"
pytestmark = pytest.mark.slow


def fetch_and_build(hub: Hub, warehouse: Warehouse, settings: Settings, folder: Path) -> None:
    """Four fetches of readers, three of them of one day, with a build after each."""
    variables = {**variables_for_dbt(settings), "DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
    manifest = dbt(variables, None, "parse")
    for day, tier in zip(DAYS, TIERS, strict=True):
        parts = deliver(hub, "user", day, {"user_id": "u1", "tier": tier}, {"user_id": "u2", "tier": "free"})
        load_snapshot(hub, warehouse, "user_attributes", day, hub.objects(parts))
        dbt(variables, manifest, "build", "--select", "+dim_users_history", "--exclude-resource-type", "unit_test")


def dbt(variables: Mapping[str, str], manifest: "Manifest | None", *arguments: str) -> Any:
    """Run dbt in this process, where it is imported once and the project parsed once for each engine."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    reset_adapters()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for name, value in variables.items():
            patch.setenv(name, value)
        done = dbtRunner(manifest=manifest).invoke(["--quiet", *arguments])
    DuckDBConnectionManager.close_all_connections()
    assert done.success, done.exception or [(each.node.name, each.message) for each in done.result if each.message]
    return done.result


def test_a_day_that_is_fetched_again_has_two_versions_on_both_engines(
    hub: Hub, warehouse: SnowflakeWarehouse, settings: Settings, tmp_path: Path
) -> None:
    local = load_settings({"RECSYS_HOME": str(tmp_path / "local")})
    local.home.mkdir()
    here = warehouse_of(local)
    here.prepare()
    fetch_and_build(hub, warehouse, settings, tmp_path / "there")
    fetch_and_build(FolderHub(tmp_path / "local" / "hub"), here, local, tmp_path / "here")
    rows = warehouse.frame(HISTORY).to_pylist()
    assert rows == here.frame(HISTORY).to_pylist()
    d20, d21 = DAYS[0], DAYS[3]
    assert [tuple(row.values())[:4] for row in rows] == [
        ("u1", "free", d20, d20),
        ("u1", "premium", d20, d20),
        ("u1", "free", d20, d21),
        ("u1", "premium", d21, None),
        ("u2", "free", d20, None),
    ]
    assert len({row["version_id"] for row in rows}) == len(rows)
