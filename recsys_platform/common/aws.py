"""How clients of AWS are made here, and what their errors are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recsys_platform.common.errors import HubError

# A request that hangs is given up and sent again before anybody takes the run for dead; 30 s outlast the longest poll of SQS.
CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=16,
    tcp_keepalive=True,
)


def client(service: str) -> Any:
    """A client of a service; credentials, region and address come from where boto3 looks for them."""
    try:
        return boto3.client(service, config=CONFIG)
    except BotoCoreError as error:
        raise HubError(
            f"No client of {service} can be made: {str(error).rstrip('.')}. Set AWS_REGION or a profile."
        ) from error


def code_of(error: ClientError) -> str:
    """The name that AWS gives to an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def in_one_sentence(what: str) -> Iterator[None]:
    """Say errors of AWS as `HubError`: what cannot be done, and why."""
    try:
        yield
    except ClientError as error:
        message = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
        raise HubError(f"Cannot {what}: AWS says {code_of(error)} ({message}).") from error
    except BotoCoreError as error:
        raise HubError(f"Cannot {what}: {str(error).rstrip('.')}.") from error
