"""From settings to what they name: the hub, the warehouse, the model registry, the queue, and the folders of a world.

Belongs here: which engine stands behind a setting. Does not: the engines; each is imported where it is chosen.
"""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_platform.errors import SettingsError
from recsys_platform.hub.places import hub_at, prefix_of
from recsys_platform.hub.store import Hub
from recsys_platform.settings import Settings

if TYPE_CHECKING:
    from recsys_platform.hub.notifications import LandingQueue
    from recsys_platform.recommender.registry.versions import Registry
    from recsys_platform.warehouse.port import Warehouse

DAGSTER_YAML = Path(__file__).parent.parent / "dagster.yaml"


def hub_of(settings: Settings) -> Hub:
    """The data hub of a world."""
    return hub_at(settings.hub_place, kms_key=settings.hub_kms_key)


def warehouse_of(settings: Settings) -> "Warehouse":
    """The warehouse of a world: a file, or a database in Snowflake."""
    if settings.env == "local":
        from recsys_platform.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(
            settings.warehouse_path, memory_limit=settings.duckdb_memory_limit, temp_limit=settings.duckdb_temp_limit
        )
    from recsys_platform.warehouse.snowflake.carrying import Stage
    from recsys_platform.warehouse.snowflake.connecting import account_of
    from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse

    return SnowflakeWarehouse(account_of(settings), Stage(settings.snowflake_stage, hub_of(settings)))


def registry_of(settings: Settings) -> "Registry":
    """The model registry of a world."""
    from recsys_platform.recommender.registry.versions import Registry

    return Registry(settings.models_root, settings.mlflow_uri)


def queue_of(settings: Settings) -> "LandingQueue | None":
    """The queue that tells of new objects, if there is one."""
    if settings.landing_queue is None:
        return None
    from recsys_platform.hub.notifications import LandingQueue

    return LandingQueue(str(settings.landing_queue), prefix_of(settings.hub or ""))


def prepare_home(settings: Settings) -> None:
    """Create the folders of a world and give it its `dagster.yaml`; `SettingsError` if that is not possible."""
    try:
        for folder in (settings.hub_place, settings.models_root, settings.dagster_home):
            if isinstance(folder, Path):
                folder.mkdir(parents=True, exist_ok=True)
        _copy_if_other(DAGSTER_YAML, settings.dagster_home / "dagster.yaml")
    except OSError as error:
        raise SettingsError(
            f"RECSYS_HOME={settings.home} cannot be written: {error.strerror}. Choose a folder you may write to."
        ) from error


def _copy_if_other(source: Path, target: Path) -> None:
    """Copy in one step, so that a process that reads the file at this moment finds it whole."""
    if not target.exists() or target.read_bytes() != source.read_bytes():
        draft = target.with_suffix(f".{os.getpid()}")
        shutil.copyfile(source, draft)
        os.replace(draft, target)
