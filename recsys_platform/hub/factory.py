"""Which hub a setting names: the one place that knows all of them."""

import re
from pathlib import Path

from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub

# The rules of S3 for names of buckets, as far as they keep a typing error from becoming a request.
_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?")


def is_s3_address(place: str) -> bool:
    """Whether a place is of the form `s3://bucket/prefix`."""
    return _S3.fullmatch(place) is not None


def prefix_of(place: str) -> str:
    """The prefix in `s3://bucket/prefix`, without slashes at its ends; empty if there is none."""
    found = _S3.fullmatch(place)
    return (found["prefix"] or "").strip("/") if found else ""


def hub_at(place: str | Path, *, kms_key: str | None = None) -> Hub:
    """The hub in a folder or, for `s3://bucket/prefix`, in S3, where `kms_key` encrypts what is written."""
    found = _S3.fullmatch(place) if isinstance(place, str) else None
    if found is None:
        return FolderHub(Path(place))
    from recsys_platform.hub.s3 import S3Hub  # boto3 costs half a second, which a laptop's hub need not pay

    return S3Hub(found["bucket"], prefix_of(str(place)), kms_key=kms_key)
