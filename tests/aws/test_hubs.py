"""A hub keeps its promises wherever its objects lie."""

import os
import urllib.parse
from pathlib import Path

import boto3
import pytest

from recsys_platform.common.errors import HubError
from recsys_platform.common.s3_requests import requests_sent
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.s3 import PART_BYTES, S3Hub
from recsys_platform.sources.event_import import import_events


@pytest.fixture(params=["folder", "s3"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Hub:
    """The same hub in a folder and in a bucket."""
    return FolderHub(tmp_path / "hub") if request.param == "folder" else request.getfixturevalue("s3_hub")


def test_what_was_put_is_got_listed_and_removed(hub: Hub) -> None:
    hub.put("a/1", b"one")
    hub.put("a/b/2 ü.json", b"two")
    hub.put("c/3", b"")
    assert [(o.key, o.size_bytes) for o in hub.objects("a/")] == [("a/1", 3), ("a/b/2 ü.json", 3)]
    assert (hub.get("a/b/2 ü.json"), hub.head("a/1", 2), hub.head("a/1", 99), hub.head("c/3", 5)) == (
        b"two",
        b"on",
        b"one",
        b"",
    )
    assert (hub.folders(""), hub.folders("a"), hub.folders("a/"), hub.folders("z")) == (["a", "c"], ["b"], ["b"], [])
    assert (hub.exists("a/1"), hub.exists("a"), hub.exists("zzz")) == (True, False, False)
    hub.remove("a/1")
    hub.remove("a/1")
    assert [o.key for o in hub.objects("a/")] == ["a/b/2 ü.json"]
    assert hub.objects("nothing/") == []


def test_an_object_that_changes_has_another_etag(hub: Hub) -> None:
    hub.put("a/1", b"one")
    before = hub.objects("a/")
    hub.put("a/1", b"two")
    assert hub.objects("a/") != before


def test_of_two_writers_of_a_new_object_one_wins(hub: Hub) -> None:
    assert [hub.put_new("a/1", b"one"), hub.put_new("a/1", b"two")] == [True, False]
    assert hub.get("a/1") == b"one"


def test_a_write_that_fails_leaves_no_draft(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path)
    hub.put("a/1/2", b"x")
    with pytest.raises(HubError, match="Cannot write"):
        hub.put("a/1", b"y")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1", "2", "a"]


def test_a_missing_object_is_said_in_one_sentence(hub: Hub) -> None:
    with pytest.raises(HubError, match=r"^Cannot read .*missing.*\.$"):
        hub.get("missing")


def test_a_large_object_is_sent_in_parts_and_every_object_is_encrypted(s3_hub: S3Hub, bucket: str) -> None:
    data = os.urandom(PART_BYTES + 1)
    s3_hub.put("large", data)
    s3_hub.put_new("small", b"x")
    client = boto3.client("s3")
    large, small = (client.head_object(Bucket=bucket, Key=f"world/{key}") for key in ("large", "small"))
    assert large["ETag"].endswith('-2"')
    assert s3_hub.get("large") == data
    assert (large["ServerSideEncryption"], small["ServerSideEncryption"]) == ("AES256", "AES256")


def test_a_key_of_kms_encrypts_where_one_is_given(bucket: str) -> None:
    S3Hub(bucket, kms_key="alias/hub").put("a", b"x")
    head = boto3.client("s3").head_object(Bucket=bucket, Key="a")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/hub")


def test_a_bucket_that_is_not_there_is_said_in_one_sentence(aws: str) -> None:
    with pytest.raises(
        HubError, match=r"^Cannot list s3://nobodys/a/: AWS answered NoSuchBucket \(.*\)\. Create the bucket,"
    ):
        S3Hub("nobodys").objects("a/")


def test_an_s3_that_does_not_answer_is_said_in_one_sentence(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"^Cannot read s3://recsys-hub/a: Could not connect .*\.$"):
        S3Hub(bucket).get("a")


@pytest.mark.slow
def test_a_day_is_listed_by_requests_in_proportion_to_the_day(s3_hub: S3Hub) -> None:
    for day in range(1, 21):
        for number in range(30):
            s3_hub.put_new(f"engagement_events/source=segment/2026/11/{day:02}/05/{number}.gz", b"")
    asked: list[str] = []
    events = s3_hub._client.meta.events
    events.register("before-call.s3", lambda params, **_: asked.append(params["url"]))
    assert len(s3_hub.objects("engagement_events/source=segment/2026/11/07/")) == 30
    assert len(asked) == 1
    assert "prefix=world/engagement_events" in urllib.parse.unquote(str(asked))


def test_events_are_imported_from_a_bucket(s3_hub: S3Hub, tmp_path: Path) -> None:
    record = b'{"messageId": "m1", "timestamp": "2026-11-22T09:30:00Z", "userId": "u1"}'
    s3_hub.put("segment-logs/shop/1795305600000/a.json", record)
    s3_hub.put("elsewhere/b.json", record)
    ours = FolderHub(tmp_path / "hub")
    place = s3_hub.where("segment-logs")
    assert import_events(ours, place).objects == 1
    assert [key.key.split("/")[1:6] for key in ours.objects("engagement_events/")] == [
        ["source=segment", "2026", "11", "22", "09"]
    ]
    assert import_events(ours, place).known == 1


def test_requests_to_s3_are_counted_by_what_they_cost(bucket: str) -> None:
    hub, before = S3Hub(bucket), requests_sent()
    hub.put_new("a", b"x")
    hub.get("a")
    hub.exists("a")
    hub.objects("a/")
    hub.remove("a")
    assert requests_sent() - before == {"s3_put": 2, "s3_get": 2}
