"""The world that a command works on: the folder in RECSYS_HOME with its hub, warehouse and models."""

from typing import TYPE_CHECKING

from recsys_platform.config.factories import hub_of, prepare_home, warehouse_of
from recsys_platform.config.settings import Settings, load_settings

if TYPE_CHECKING:  # imports pyarrow
    from recsys_platform.warehouse.port import Warehouse


def open_world() -> Settings:
    """Load the settings, create the folders of the world and finish a simulation that was interrupted while writing."""
    from recsys_platform.simulation.staged_write import finish_staged, is_unfinished

    settings = load_settings()
    prepare_home(settings)
    if is_unfinished(settings.truth_root):
        finish_staged(hub_of(settings), settings.truth_root)
    return settings


def holds_simulation(settings: Settings) -> bool:
    """Whether the world was simulated."""
    return (settings.truth_root / "world.json").exists()


def prepared_warehouse(settings: Settings) -> "Warehouse":
    """The warehouse of a world, its tables updated to this version.

    Raises `WarehouseError` if there is no warehouse, or if another process holds it for too long.
    """
    import stamina

    stamina.instrumentation.set_on_retry_hooks(())  # do not log retries while waiting for the lock
    warehouse = warehouse_of(settings)
    warehouse.frame("select 1")
    warehouse.prepare()
    return warehouse
