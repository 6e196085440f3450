"""A data hub in S3: `s3://bucket/prefix`."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import stamina
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, HTTPClientError

from recsys_platform.common.aws import client, code_of, in_one_sentence
from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import is_folder_marker
from recsys_platform.hub.object_store import HubObject

PART_BYTES = 16 * 1024 * 1024  # larger objects are sent in parts of this size
TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
_MISSING = {"404", "NoSuchKey", "NotFound"}
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True)
class S3Hub:
    """Objects in a bucket below a prefix, encrypted by S3 or by a key of KMS (`kms_key`, an id or ARN).

    Credentials, region and address come from where boto3 looks for them: the role of a task, the environment, a profile.
    """

    bucket: str
    prefix: str = ""
    kms_key: str | None = None

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in parts if it is large; S3 shows it when it is whole."""
        with self._told("write", key):
            self._client.upload_fileobj(
                io.BytesIO(data), self.bucket, self._key(key), ExtraArgs=self._encryption, Config=TRANSFER
            )

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object in one request unless there is one of the same key; whether it was written."""
        with self._told("write", key):
            try:
                self._client.put_object(
                    Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*", **self._encryption
                )
            except ClientError as error:
                if code_of(error) in _THERE_ALREADY:
                    return False
                raise
        return True

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        return self._read(key)

    def head(self, key: str, size: int) -> bytes:
        """The first bytes of an object, at most so many."""
        try:
            return self._read(key, Range=f"bytes=0-{size - 1}") if size else b""
        except HubError as error:
            if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "InvalidRange":  # it is empty
                return b""
            raise

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key."""
        with self._told("look for", key):
            try:
                self._client.head_object(Bucket=self.bucket, Key=self._key(key))
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return False
                raise
        return True

    def remove(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""
        with self._told("remove", key):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def objects(self, prefix: str) -> list[HubObject]:
        """The objects under a prefix that ends with `/`, sorted by key: a request for each thousand."""
        found = (item for page in self._pages(prefix) for item in page.get("Contents", ()))
        return sorted(
            HubObject(item["Key"].removeprefix(self._root), item["ETag"].strip('"'), item["Size"])
            for item in found
            if not is_folder_marker(item["Key"], item["Size"])
        )

    def folders(self, prefix: str) -> list[str]:
        """The names directly under a prefix that hold objects deeper down, sorted."""
        below = f"{prefix.rstrip('/')}/" if prefix else ""
        pages = self._pages(below, Delimiter="/")
        names = (item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ()))
        return sorted(name.removeprefix(self._key(below)).rstrip("/") for name in names)

    def where(self, key: str) -> str:
        """The address of an object."""
        return f"s3://{self.bucket}/{self._key(key)}"

    @cached_property
    def _client(self) -> Any:
        return client("s3")

    @property
    def _root(self) -> str:
        return f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""

    def _key(self, key: str) -> str:
        return self._root + key

    @property
    def _encryption(self) -> dict[str, str]:
        if self.kms_key:
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        return {"ServerSideEncryption": "AES256"}

    def _read(self, key: str, **options: str) -> bytes:
        with self._told("read", key):
            for attempt in stamina.retry_context(on=HTTPClientError, attempts=3, wait_initial=0.2):
                with attempt:  # boto3 sends requests again, but does not go on reading an answer that broke off
                    answer = self._client.get_object(Bucket=self.bucket, Key=self._key(key), **options)
                    return bytes(answer["Body"].read())
        raise AssertionError("stamina ends with a value or an error")

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        with self._told("list", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self.bucket, Prefix=self._key(prefix), **options)

    def _told(self, what: str, key: str) -> AbstractContextManager[None]:
        return in_one_sentence(f"{what} {self.where(key)}")
