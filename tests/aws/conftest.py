"""AWS on the loopback."""

import pytest

from recsys_platform.hub.s3 import S3Hub


@pytest.fixture(scope="session", autouse=True)
def no_real_account(credentials: None) -> None:
    """Made-up credentials for every test of this folder."""


@pytest.fixture
def s3_hub(bucket: str) -> S3Hub:
    """A hub below a prefix of the bucket."""
    return S3Hub(bucket, "world")
