"""Files of routing in SSM Parameter Store: one parameter each, below a path.

Belongs here: reading and writing in AWS. Does not: what is done while it does not answer (routing_files.py). Imports boto3.
"""

import os
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from recsys_platform.common.aws import client, error_code, translate_aws_errors

# Promotions are followed by the same thread: it must not wait long, and asks again soon.
_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 1})


class ParameterStore:
    """Parameters right below a path, such as `/recsys/routing/experiments.yaml`."""

    def __init__(self, path: str) -> None:
        """`path`: such as `/recsys/routing`."""
        self._path = path.rstrip("/")
        self._client: tuple[int, Any] | None = None

    def text_of(self, name: str) -> str | None:
        """The text of a parameter; None if there is none. Raises HubError if AWS does not answer."""
        place = f"{self._path}/{name}"
        with translate_aws_errors(f"read {place}"):
            try:
                return str(self._own_client().get_parameter(Name=place, WithDecryption=True)["Parameter"]["Value"])
            except ClientError as error:
                if error_code(error) == "ParameterNotFound":
                    return None
                raise

    def versioned_text_of(self, name: str) -> tuple[str, int] | None:
        """The text of a parameter and its version, which grows with each write; None if there is none."""
        place = f"{self._path}/{name}"
        with translate_aws_errors(f"read {place}"):
            try:
                found = self._own_client().get_parameter(Name=place, WithDecryption=True)["Parameter"]
            except ClientError as error:
                if error_code(error) == "ParameterNotFound":
                    return None
                raise
        return str(found["Value"]), int(found["Version"])

    def put_text(self, name: str, text: str) -> int:
        """Write a parameter, an advanced one if the text is longer than 4 kB; its version."""
        place = f"{self._path}/{name}"
        with translate_aws_errors(f"write {place}"):
            done = self._own_client().put_parameter(
                Name=place, Value=text, Type="String", Overwrite=True, Tier="Intelligent-Tiering"
            )
        return int(done["Version"])

    def _own_client(self) -> Any:
        """The client of this process: connections must not be shared with a worker that parted from it."""
        if self._client is None or self._client[0] != os.getpid():
            self._client = os.getpid(), client("ssm", _CONFIG)
        return self._client[1]
