"""The environment variables that dbt's `profiles.yml` reads, from the settings of a world."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from recsys_platform.config.settings import Settings


@contextmanager
def environment_for_dbt(settings: Settings) -> Iterator[None]:
    """What `profiles.yml` reads from the environment, in this block only, and no warnings."""
    ours = {**variables_for_dbt(settings), "PYTHONWARNINGS": "ignore"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def variables_for_dbt(settings: Settings) -> dict[str, str]:
    """The settings that `profiles.yml` needs. dbt masks what is named `DBT_ENV_SECRET_…` wherever it would show it."""
    given = {
        "RECSYS_ENV": settings.env,
        "RECSYS_HOME": str(settings.home),
        "RECSYS_REBUILD_UP_TO_ROWS": str(settings.rebuild_up_to_rows),
    }
    if settings.env == "local":
        limits = {"MEMORY": settings.duckdb_memory_limit, "TEMP": settings.duckdb_temp_limit}
        return given | {f"RECSYS_DUCKDB_{name}_LIMIT": limit for name, limit in limits.items()}
    there = settings.snowflake_address
    address = {"HOST": there.host, "PORT": there.port, "PROTOCOL": there.scheme} if there else {}
    parts = {name: getattr(settings, f"snowflake_{name.lower()}") for name in _NAMES}
    key, phrase = settings.snowflake_private_key, settings.snowflake_passphrase
    secrets = {"PRIVATE_KEY": key, "PASSPHRASE": phrase}
    return (
        given
        | {f"RECSYS_SNOWFLAKE_{name}": str(value) for name, value in parts.items()}
        | {f"DBT_SNOWFLAKE_{name}": str(value) for name, value in address.items()}
        | {f"DBT_ENV_SECRET_SNOWFLAKE_{name}": value.get_secret_value() for name, value in secrets.items() if value}
    )


_NAMES = ("ACCOUNT", "USER", "ROLE", "WAREHOUSE", "DATABASE")
