"""Servers on the loopback that stand for others' services: started for tests, stopped after them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import httpx
import pytest

from tests.support.aws_calls import recorded_calls
from tests.support.aws_roles import roles_by_caller

ROOT = Path(__file__).parents[2]
# No test may reach a real account, whatever the machine has configured.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextmanager
def made_up_credentials() -> Iterator[None]:
    """Credentials of nobody, for every client of this process and of those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@contextmanager
def moto() -> Iterator[str]:
    """The address of a server that stands for S3, SQS, Glue, SSM and more; boto3 finds it while it runs, with the role of each caller.

    Fails at the end if a process did what its role does not allow.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.support.moto_server", "-H", "127.0.0.1", "-p", str(port)]
    ready = f"{address}/moto-api/"
    with (
        recorded_calls(),
        roles_by_caller(),
        running(command, ready, folder=ROOT),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL", address)
        yield address


@contextmanager
def running(command: Sequence[str], answers_at: str, folder: Path | None = None) -> Iterator[None]:
    """A process that answers at an address, ended whatever happens."""
    with TemporaryFile() as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as server:
        try:
            if not _answers(answers_at, server):
                log.seek(0)
                pytest.fail(f"{answers_at} does not answer: {log.read().decode()[-2000:]}")
            yield
        finally:
            server.terminate()


def free_port() -> int:
    """A port of the loopback that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(address: str, server: subprocess.Popen[bytes], seconds: float = 60) -> bool:
    """Wait until a server answers, unless it ends or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            httpx.get(address, timeout=5)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return True
    return False
