"""AWS on the loopback: a server that speaks its protocols, started once for all tests of this folder and stopped after them."""

from collections.abc import Iterator

import boto3
import httpx
import pytest

from recsys_platform.hub.s3 import S3Hub
from tests.servers import made_up_credentials, moto

BUCKET = "recsys-hub"


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """Made-up credentials for every client of this process and of those it starts."""
    with made_up_credentials():
        yield


@pytest.fixture(scope="session")
def aws(credentials: None) -> Iterator[str]:
    """The address of a server that stands for S3, SQS, Glue, SSM and more."""
    with moto() as address:
        yield address


@pytest.fixture
def bucket(aws: str) -> Iterator[str]:
    """An empty bucket; everything that the server remembers is forgotten after the test."""
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield BUCKET
    httpx.post(f"{aws}/moto-api/reset")


@pytest.fixture
def s3_hub(bucket: str) -> S3Hub:
    """A hub below a prefix of the bucket."""
    return S3Hub(bucket, "world")
