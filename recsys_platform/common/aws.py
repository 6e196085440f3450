"""AWS clients with our timeouts and retries, and their errors as `HubError`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recsys_platform.common.errors import HubError
from recsys_platform.common.s3_requests import count_requests

# A hanging request is retried long before the run looks dead. 30 s is longer than SQS's longest poll.
CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=16,
    tcp_keepalive=True,
)


def client(service: str, config: Config = CONFIG) -> Any:
    """A client of an AWS service; credentials, region and endpoint come from boto3's usual sources."""
    try:
        made = boto3.client(service, config=config)
    except BotoCoreError as error:
        raise HubError(
            f"Cannot create a client for {service}: {str(error).rstrip('.')}. Set AWS_REGION or a profile."
        ) from error
    if service == "s3":
        count_requests(made)
    return made


_PERMISSION, _CREDENTIALS = "Give this process the permission.", "Renew the credentials of this process."
_REMEDIES = {
    "AccessDenied": _PERMISSION,
    "AccessDeniedException": _PERMISSION,
    "AuthorizationError": _PERMISSION,
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "NoSuchBucket": "Create the bucket, or correct its name in the settings.",
}
"""What to do about an error code of AWS."""


def error_code(error: ClientError) -> str:
    """The error code in an AWS response, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translate_aws_errors(what: str) -> Iterator[None]:
    """Raise AWS errors in this block as a `HubError` of one sentence: "Cannot {what}: …"."""
    try:
        yield
    except ClientError as error:
        message = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
        told = f"Cannot {what}: AWS answered {error_code(error)} ({message})."
        raise HubError(" ".join(filter(None, [told, _REMEDIES.get(error_code(error))]))) from error
    except BotoCoreError as error:
        raise HubError(f"Cannot {what}: {str(error).rstrip('.')}.") from error
