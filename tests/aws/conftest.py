"""AWS on the loopback: a server that speaks its protocols, started once for all tests of this folder and stopped after them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import boto3
import httpx
import pytest

from recsys_platform.hub.s3 import S3Hub

BUCKET = "recsys-hub"
# No test may reach a real account, whatever the machine has configured.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """Made-up credentials for every client of this process and of those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def aws(credentials: None) -> Iterator[str]:
    """The address of a server that stands for S3, SQS, Glue, SSM and more."""
    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.rsplit(":")[-1]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"{address}/moto-api/", server)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AWS_ENDPOINT_URL", address)
                yield address
        finally:
            server.terminate()


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


def free_port() -> int:
    """A port of the loopback that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(address: str, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Until a server answers; fails if it ends or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            httpx.get(address, timeout=5)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{address} does not answer")
