"""Open the hub that a setting names: a folder or S3."""

import re
from pathlib import Path

from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub

# S3's rules for bucket names, enough to reject a typo before a request is sent.
_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?")


def is_s3_url(location: str) -> bool:
    """Whether a location has the form `s3://bucket/prefix`."""
    return _S3.fullmatch(location) is not None


def prefix_of(location: str) -> str:
    """The prefix in `s3://bucket/prefix`, without leading or trailing slashes; empty if there is none."""
    match = _S3.fullmatch(location)
    return (match["prefix"] or "").strip("/") if match else ""


def open_hub(location: str | Path, *, kms_key: str | None = None) -> Hub:
    """The hub in a folder or, for `s3://bucket/prefix`, in S3. `kms_key` encrypts what is written to S3."""
    match = _S3.fullmatch(location) if isinstance(location, str) else None
    if match is None:
        return FolderHub(Path(location))
    from recsys_platform.hub.s3 import S3Hub  # importing boto3 takes half a second; a local hub does not need it

    return S3Hub(match["bucket"], prefix_of(str(location)), kms_key=kms_key)
