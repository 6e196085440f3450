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

from recsys_platform.common.aws import client, error_code, translate_aws_errors
from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import is_folder_marker
from recsys_platform.hub.object_store import HubObject

PART_BYTES = 16 * 1024 * 1024  # larger objects are uploaded in parts of this size
TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
_MISSING = {"404", "NoSuchKey", "NotFound"}
_ALREADY_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict"}


@dataclass(frozen=True)
class S3Hub:
    """Objects in a bucket below a prefix, encrypted by S3 or by a KMS key (`kms_key`, an id or ARN).

    Credentials, region and endpoint come from boto3's usual sources: the task's role, the environment, a profile.
    """

    bucket: str
    prefix: str = ""
    kms_key: str | None = None

    def put(self, key: str, data: bytes) -> None:
        """Write an object, as a multipart upload if it is large; S3 makes it visible when it is complete."""
        with self._translate_errors("write", key):
            self._client.upload_fileobj(
                io.BytesIO(data), self.bucket, self._full_key(key), ExtraArgs=self._encryption_args, Config=TRANSFER
            )

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object in one request unless the key exists; returns whether it was written."""
        with self._translate_errors("write", key):
            try:
                self._client.put_object(
                    Bucket=self.bucket, Key=self._full_key(key), Body=data, IfNoneMatch="*", **self._encryption_args
                )
            except ClientError as error:
                if error_code(error) in _ALREADY_EXISTS:
                    return False
                raise
        return True

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        return self._read_object(key)

    def head(self, key: str, size: int) -> bytes:
        """The first `size` bytes of an object."""
        try:
            return self._read_object(key, Range=f"bytes=0-{size - 1}") if size else b""
        except HubError as error:
            if (
                isinstance(error.__cause__, ClientError) and error_code(error.__cause__) == "InvalidRange"
            ):  # the object is empty
                return b""
            raise

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        with self._translate_errors("look for", key):
            try:
                self._client.head_object(Bucket=self.bucket, Key=self._full_key(key))
            except ClientError as error:
                if error_code(error) in _MISSING:
                    return False
                raise
        return True

    def remove(self, key: str) -> None:
        """Remove an object; a missing object is no error."""
        with self._translate_errors("remove", key):
            self._client.delete_object(Bucket=self.bucket, Key=self._full_key(key))

    def objects(self, prefix: str) -> list[HubObject]:
        """The objects under a prefix that ends with `/`, sorted by key; one request for each thousand."""
        found = (item for page in self._list_pages(prefix) for item in page.get("Contents", ()))
        return sorted(
            HubObject(item["Key"].removeprefix(self._root_prefix), item["ETag"].strip('"'), item["Size"])
            for item in found
            if not is_folder_marker(item["Key"], item["Size"])
        )

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders directly under a prefix, sorted."""
        below = f"{prefix.rstrip('/')}/" if prefix else ""
        pages = self._list_pages(below, Delimiter="/")
        names = (item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ()))
        return sorted(name.removeprefix(self._full_key(below)).rstrip("/") for name in names)

    def where(self, key: str) -> str:
        """The URL of an object."""
        return f"s3://{self.bucket}/{self._full_key(key)}"

    @cached_property
    def _client(self) -> Any:
        return client("s3")

    @property
    def _root_prefix(self) -> str:
        return f"{self.prefix.strip('/')}/" if self.prefix.strip("/") else ""

    def _full_key(self, key: str) -> str:
        return self._root_prefix + key

    @property
    def _encryption_args(self) -> dict[str, str]:
        if self.kms_key:
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        return {"ServerSideEncryption": "AES256"}

    def _read_object(self, key: str, **options: str) -> bytes:
        with self._translate_errors("read", key):
            for attempt in stamina.retry_context(on=HTTPClientError, attempts=3, wait_initial=0.2):
                with attempt:  # boto3 retries requests, but not the reading of a response body
                    answer = self._client.get_object(Bucket=self.bucket, Key=self._full_key(key), **options)
                    return bytes(answer["Body"].read())
        raise AssertionError("retry_context either returns or raises")

    def _list_pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        with self._translate_errors("list", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self.bucket, Prefix=self._full_key(prefix), **options)

    def _translate_errors(self, what: str, key: str) -> AbstractContextManager[None]:
        return translate_aws_errors(f"{what} {self.where(key)}")
