"""The objects of an external stage: listed and fetched with boto3.

DuckDB would read `s3://` through an extension that cannot be installed without a network; the files of a `copy` are therefore
fetched into a temporary folder, and read there. What they are called in Snowflake stays beside them.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
from botocore.exceptions import ClientError
from snowflake.connector.errors import ProgrammingError

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class StagedFile:
    """One object of a stage; `path` is where it lies while the statement runs."""

    url: str
    path: Path

    @property
    def key(self) -> str:
        """What `metadata$filename` says: the path below the bucket."""
        return key_of(self.url)


def key_of(url: str) -> str:
    """The path of an `s3://` address below its bucket."""
    return url.removeprefix("s3://").partition("/")[2]


def chosen(location: str, files: Sequence[str], pattern: str | None) -> list[str]:
    """The addresses that a `copy` from a location means.

    As Snowflake says of `files`: they are put behind the location as they are, without a slash between. A pattern has to
    match the whole path below the bucket; so one that begins with `.*` does the same in Snowflake.
    """
    urls = [f"{location}{name}" for name in files] if files else list(_listed(location))
    return [url for url in urls if pattern is None or re.fullmatch(pattern, key_of(url))]


@contextmanager
def fetched(urls: Sequence[str]) -> Iterator[list[StagedFile]]:
    """The objects as files, for as long as the block runs."""
    with TemporaryDirectory(prefix="stage_") as folder:
        yield [_fetch(url, Path(folder) / f"{number:06}") for number, url in enumerate(urls)]


def _listed(location: str) -> Iterator[str]:
    """A location is a prefix of names, not a folder; empty objects stand for folders in some tools and hold nothing."""
    bucket = location.removeprefix("s3://").partition("/")[0]
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key_of(location))
    try:
        yield from (f"s3://{bucket}/{o['Key']}" for page in pages for o in page.get("Contents", []) if o["Size"])
    except ClientError as error:
        raise _not_found(location) from error


def _fetch(url: str, path: Path) -> StagedFile:
    """DuckDB tells by the name that a file is packed; Snowflake looks inside."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        content = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        raise _not_found(url) from error
    path = path.with_suffix(".gz") if content.startswith(_GZIP) else path
    path.write_bytes(content)
    return StagedFile(url, path)


def _not_found(url: str) -> ProgrammingError:
    return ProgrammingError(msg=f"Remote file '{url}' was not found.", errno=91016, sqlstate="22000")
