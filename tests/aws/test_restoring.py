"""The drills of docs/upgrades.md that need no account: what was lost comes back, and a load after it changes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.reconciliation import account
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

RECORDS = "select source, object_key, record_index, landed_at, record from raw.engagement_events order by all"
REJECTED = "select object_key, record_index, payload, reason from raw.rejected_records order by all"
SALT = "the salt from its backup"
Land = Callable[..., str]


@pytest.fixture
def hub(bucket: str) -> Hub:
    """The hub in a bucket that keeps versions, as that of infra/ does."""
    boto3.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return S3Hub(bucket, "hub")


@pytest.fixture
def landed(land: Land, view: Callable[..., dict[str, Any]]) -> list[str]:
    """Two landing objects; one has a record that is rejected."""
    return [land("a.gz", view("m1"), view("m2")), land("b.gz", view("m3"), b"no json")]


def load(hub: Hub, warehouse: DuckDBWarehouse) -> int:
    """Load what is new, as a run does; the number of records."""
    report = load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
    assert not account(warehouse).broken
    return report.accepted + report.rejected


def content(warehouse: DuckDBWarehouse) -> list[Any]:
    return [warehouse.frame(sql).to_pylist() for sql in (RECORDS, REJECTED)]


def test_objects_that_were_deleted_and_overwritten_come_back_and_nothing_is_loaded_again(
    hub: S3Hub, warehouse: DuckDBWarehouse, landed: list[str]
) -> None:
    assert load(hub, warehouse) == 4
    before, objects = content(warehouse), hub.objects("engagement_events/")
    hub.remove(landed[0])
    hub.put(landed[1], b"somebody's mistake")
    s3, where = boto3.client("s3"), {"Bucket": hub.bucket}
    found = s3.list_object_versions(**where, Prefix="hub/engagement_events/")
    for marker in found["DeleteMarkers"]:
        s3.delete_object(**where, Key=marker["Key"], VersionId=marker["VersionId"])
    [old] = [each for each in found["Versions"] if each["Key"].endswith("b.gz") and not each["IsLatest"]]
    s3.copy_object(**where, Key=old["Key"], CopySource={**where, "Key": old["Key"], "VersionId": old["VersionId"]})
    assert hub.objects("engagement_events/") == objects
    assert load(hub, warehouse) == 0
    assert content(warehouse) == before


def test_a_copy_of_the_warehouse_takes_in_what_landed_since(
    hub: Hub,
    warehouse: DuckDBWarehouse,
    landed: list[str],
    land: Land,
    view: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    load(hub, warehouse)
    copy = shutil.copy(warehouse.path, tmp_path / "copy.duckdb")
    land("c.gz", view("m4"))
    load(hub, warehouse)
    lost = content(warehouse)
    shutil.move(copy, warehouse.path)
    assert load(hub, warehouse) == 1
    assert content(warehouse) == lost


def test_a_warehouse_that_is_lost_is_made_again_from_what_landed_with_the_same_salt(
    hub: Hub, warehouse: DuckDBWarehouse, landed: list[str], tmp_path: Path
) -> None:
    warehouse.ensure_salt(SALT)
    load(hub, warehouse)
    again = DuckDBWarehouse(tmp_path / "again.duckdb")
    again.prepare()
    again.ensure_salt(SALT)
    assert load(hub, again) == 4
    assert content(again) == content(warehouse)
    assert again.salt_fingerprint() == warehouse.salt_fingerprint()
