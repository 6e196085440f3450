"""Build what the settings name: the hub, the warehouse, the model registry, the queue, and the folders of a world.

Belongs here: choosing an implementation. Does not: the implementations; each is imported only when it is chosen.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.common.errors import SettingsError
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import LIST_RULES, VARIANTS, world_file
from recsys_platform.hub.factory import open_hub, prefix_of
from recsys_platform.hub.layout import ID_FIELDS, Attributes
from recsys_platform.hub.object_store import Hub

if TYPE_CHECKING:
    from recsys_platform.hub.sqs import LandingQueue
    from recsys_platform.recommender.lists.list_rules import ListRules
    from recsys_platform.recommender.registry.versions import Registry
    from recsys_platform.recommender.training.variants import Variants
    from recsys_platform.sources.rest_client import Endpoint
    from recsys_platform.warehouse.port import Warehouse
    from recsys_platform.warehouse.snowflake.session import Account

DAGSTER_YAML = Path(str(files("recsys_platform").joinpath("config", "dagster.yaml")))
_SHIPPED = {
    "2711ce7fe5a744f5a623aa4855f01b2a619c17aa98b777716956c0c6c7c9b99f",  # pragma: allowlist secret
    "232e74f5011044c024a825ff96d286579857094090cc79defbf8bc1e6ac92ab5",  # pragma: allowlist secret
}
"""Earlier versions of it, from before worlds noted which one they were given."""


def hub_of(settings: Settings) -> Hub:
    """The data hub of a world."""
    return open_hub(settings.hub_place, kms_key=settings.hub_kms_key)


def site_of(settings: Settings) -> Hub:
    """The site of pages that people read."""
    return open_hub(settings.site or settings.home / "site", kms_key=settings.hub_kms_key)


def warehouse_of(settings: Settings) -> "Warehouse":
    """The warehouse of a world: a file, or a database in Snowflake."""
    if settings.env == "local":
        from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

        return DuckDBWarehouse(
            settings.warehouse_path, memory_limit=settings.duckdb_memory_limit, temp_limit=settings.duckdb_temp_limit
        )
    from recsys_platform.warehouse.snowflake.bulk_load import Stage
    from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse

    return SnowflakeWarehouse(account_of(settings), Stage(settings.snowflake_stage, hub_of(settings)))


def account_of(settings: Settings) -> "Account":
    """The Snowflake account in the settings of the environment `aws`."""
    from recsys_platform.warehouse.snowflake.session import Account

    return Account(
        account=settings.snowflake_account or "",
        user=settings.snowflake_user or "",
        private_key=settings.snowflake_private_key or SecretStr(""),
        passphrase=settings.snowflake_passphrase,
        role=settings.snowflake_role,
        warehouse=settings.snowflake_warehouse,
        database=settings.snowflake_database,
        address=str(settings.snowflake_address) if settings.snowflake_address else None,
    )


def reading_copy_of(settings: Settings) -> "Warehouse":
    """The DuckDB copy of marts and published lists, readable while the warehouse is being written."""
    from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

    return DuckDBWarehouse(settings.analytics_path, memory_limit=settings.duckdb_memory_limit)


def registry_of(settings: Settings) -> "Registry":
    """The model registry of a world."""
    from recsys_platform.recommender.registry.versions import Registry

    return Registry(settings.models_root, settings.mlflow_uri)


def queue_of(settings: Settings) -> "LandingQueue | None":
    """The SQS queue with notifications of new objects; None if none is set."""
    if settings.landing_queue is None:
        return None
    from recsys_platform.hub.sqs import LandingQueue

    return LandingQueue(str(settings.landing_queue), prefix_of(settings.hub or ""))


def variants_of(settings: Settings) -> "Variants":
    """The variants of a world; `ModelError` says what is wrong with which."""
    from recsys_platform.recommender.training.variants import load_variants

    return load_variants(world_file(settings, VARIANTS))


def list_rules_of(settings: Settings) -> "ListRules":
    """The list rules of a world; `ListRulesError` says what is wrong with which."""
    from recsys_platform.recommender.lists.list_rules import load_list_rules

    return load_list_rules(world_file(settings, LIST_RULES))


def endpoint_of(settings: Settings, kind: Attributes) -> "Endpoint | None":
    """Where a kind of attributes is fetched from, None if the settings name no endpoint."""
    from recsys_platform.sources.rest_client import Endpoint

    url = settings.users_url if kind == "user_attributes" else settings.books_url
    if url is None:
        return None
    return Endpoint(
        str(url),
        ID_FIELDS[kind],
        per_page=settings.attributes_per_page,
        timeout_seconds=settings.http_timeout_seconds,
        attempts=settings.http_attempts,
    )


def prepare_home(settings: Settings) -> None:
    """Create the folders of a world and its `dagster.yaml`; raises `SettingsError` if they cannot be written."""
    try:
        for folder in (settings.hub_place, settings.models_root, settings.own_dagster_home):
            if isinstance(folder, Path):
                folder.mkdir(parents=True, exist_ok=True)
        _keep_up_to_date(DAGSTER_YAML, settings.own_dagster_home / "dagster.yaml")
    except OSError as error:
        raise SettingsError(
            f"RECSYS_HOME={settings.home} cannot be written: {error.strerror}. Choose a folder you may write to."
        ) from error


def _keep_up_to_date(source: Path, target: Path) -> None:
    """Copy a file that was shipped, unless a person changed the copy: beside it stands the hash of what was copied last."""
    note = target.with_name(f".{target.name}.sha256")
    ours = {*_SHIPPED, note.read_text().strip() if note.exists() else ""}
    if target.exists() and (_sha256(target) not in ours or _sha256(target) == _sha256(source)):
        return
    for content, path in ((source.read_bytes(), target), (_sha256(source).encode(), note)):
        replace_file(path, content)  # another process may read it at this moment


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
