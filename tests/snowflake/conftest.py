"""Snowflake on the loopback: a server that speaks its protocol, and one that speaks S3, started once for all tests of this folder."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from snowflake.connector import SnowflakeConnection, connect

from tests.servers import free_port, made_up_credentials, moto, running

BUCKET = "recsys-hub"
ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """Made-up credentials for every client of this process and of those it starts.

    At every login the connector asks STS and the metadata services of three clouds where it runs, unless told not to.
    """
    with made_up_credentials(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        yield


@pytest.fixture(scope="session")
def aws(credentials: None) -> Iterator[str]:
    """The address of a server that stands for S3."""
    with moto() as address:
        yield address


@pytest.fixture
def bucket(aws: str) -> Iterator[str]:
    """An empty bucket, forgotten after the test."""
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield BUCKET
    httpx.post(f"{aws}/moto-api/reset")


@pytest.fixture(scope="session")
def snowflake_port(aws: str) -> Iterator[int]:
    """Where the server listens that stands for Snowflake; it reads stages from `aws`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.snowflake.server", "--port", str(port), "--s3", aws]
    with running(command, f"http://127.0.0.1:{port}/", folder=ROOT):
        yield port


@pytest.fixture(scope="session")
def snowflake(snowflake_port: int) -> dict[str, Any]:
    """What the connector needs to reach the server; user and password are not looked at."""
    return {
        "account": "fakesnow",
        "user": "tester",
        "password": "anything",
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
