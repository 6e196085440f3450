"""Snowflake on the loopback: a server that speaks its protocol, started once for all tests of this folder."""

import gc
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector import SnowflakeConnection, connect

from tests.support.servers import free_port, running

ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def no_real_account(credentials: None) -> Iterator[None]:
    """Made-up credentials for every test of this folder.

    At every login the connector asks STS and the metadata services of three clouds where it runs, unless told not to.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        yield


@pytest.fixture(scope="session")
def snowflake_port(aws: str) -> Iterator[int]:
    """Where the server listens that stands for Snowflake; it reads stages from `aws`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.snowflake.server", "--port", str(port), "--s3", aws]
    with running(command, f"http://127.0.0.1:{port}/", folder=ROOT):
        yield port
        # Sessions that were left for the next who asks would otherwise be closed when nobody answers any more.
        for each in [each for each in gc.get_objects() if type(each) is SnowflakeConnection]:
            each.close()


@pytest.fixture(scope="session")
def snowflake(snowflake_port: int) -> dict[str, Any]:
    """What the connector needs to reach the server; user and password are not looked at."""
    return {
        "account": "fakesnow",
        "user": "tester",
        "password": "anything",  # pragma: allowlist secret
        "host": "127.0.0.1",
        "port": snowflake_port,
        "protocol": "http",
        "network_timeout": 5,
    }


@pytest.fixture
def account(snowflake: dict[str, Any]) -> dict[str, Any]:
    """The same with a fresh database, which is made at the first login, and the schemas `raw` and `ops` in it."""
    parameters = snowflake | {"database": f"WORLD_{next(_numbers)}"}
    with connect(**parameters) as connection:
        for schema in ("raw", "ops"):
            connection.cursor().execute(f"create schema {schema}")
    return parameters


@pytest.fixture
def session(account: dict[str, Any]) -> Iterator[SnowflakeConnection]:
    """A session in the fresh database."""
    with connect(**account) as connection:
        yield connection
