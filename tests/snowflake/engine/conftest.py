"""The platform on Snowflake: a fresh database, a fresh bucket, and the settings that name both."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from snowflake.connector import connect

from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import PREFIX, Settings, load_settings
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse

SALT = "a salt that only tests know"


@pytest.fixture(scope="session")
def private_key() -> str:
    """A key of a service user, PEM text."""
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def variables(account: dict[str, Any], bucket: str, private_key: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a platform on AWS; an administrator has made its stage."""
    with connect(**account) as connection:
        connection.cursor().execute(f"create stage raw.hub url='s3://{bucket}/world/'")
    named = {
        "ENV": "aws",
        "HUB": f"s3://{bucket}/world",
        "SNOWFLAKE_ACCOUNT": account["account"],
        "SNOWFLAKE_USER": account["user"],
        "SNOWFLAKE_PRIVATE_KEY": private_key,
        "SNOWFLAKE_DATABASE": account["database"],
        "SNOWFLAKE_ADDRESS": f"http://127.0.0.1:{account['port']}",
        "PII_SALT": SALT,
        "MLFLOW_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    return {f"{PREFIX}{name}": value for name, value in named.items()}


@pytest.fixture
def settings(variables: dict[str, str]) -> Settings:
    return load_settings(variables)


@pytest.fixture
def hub(settings: Settings) -> Hub:
    return hub_of(settings)


@pytest.fixture
def warehouse(settings: Settings) -> SnowflakeWarehouse:
    """The engine on the fresh database, with the tables that Python writes."""
    made = warehouse_of(settings)
    assert isinstance(made, SnowflakeWarehouse)
    made.prepare()
    return made
