import datetime as dt
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.common.errors import HubError
from recsys_platform.hub import fingerprints
from recsys_platform.hub.layout import SOURCES, arrival_of, is_landing_key, landing_key, landing_prefix, source_of
from recsys_platform.hub.local import FolderHub


@given(st.sampled_from(SOURCES), st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 1, 1)))
def test_a_landing_key_tells_its_tracker_and_hour(source, arrival):
    key = landing_key(source, arrival, "x.gz")
    assert is_landing_key(key)
    assert key.startswith(landing_prefix(source, arrival.date()))
    assert (source_of(key), arrival_of(key)) == (source, arrival.replace(minute=0, second=0, microsecond=0))


@pytest.mark.parametrize(
    "key",
    [
        "engagement_events/source=other/2026/01/01/00/x",
        "engagement_events/source=segment/2026/13/01/00/x",
        "engagement_events/x",
    ],
)
def test_other_keys_are_not_landing_keys(key):
    assert not is_landing_key(key)


def test_objects_are_listed_by_prefix_and_drafts_are_not(hub):
    hub.put("a/1", b"one")
    hub.put("a/b/2", b"two")
    hub.put("c/3", b"three")
    (hub.root / "a/.draft").write_bytes(b"")
    assert [(o.key, o.size_bytes) for o in hub.objects("a/")] == [("a/1", 3), ("a/b/2", 3)]
    assert (hub.objects("nothing/"), hub.folders(""), hub.folders("zzz")) == ([], ["a", "c"], [])


def test_an_object_that_changes_has_another_etag(hub):
    hub.put("a/1", b"one")
    before = hub.objects("a/")
    hub.put("a/1", b"two")
    assert hub.objects("a/") != before


def test_a_copied_hub_has_the_same_objects_and_a_change_in_it_is_seen(hub, tmp_path):
    for number in range(5):
        hub.put(f"a/{number}", bytes(100))
    before = hub.objects("a/")
    shutil.copytree(hub.root, tmp_path / "copy", copy_function=shutil.copyfile)
    copy = FolderHub(tmp_path / "copy")
    assert copy.objects("a/") == before
    assert copy.objects("a/") == before
    for time in (0, os.stat(copy.path("a/1")).st_mtime):
        os.utime(copy.path("a/1"), (time, time))
        assert copy.objects("a/") == before
    stat = os.stat(copy.path("a/2"))
    copy.path("a/2").write_bytes(bytes(99) + b"1")
    os.utime(copy.path("a/2"), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert [item.key for item in set(copy.objects("a/")) - set(before)] == ["a/2"]


def test_content_is_hashed_once_by_all_processes(hub, monkeypatch):
    hub.put("a/1", b"one")
    before = hub.objects("a/")
    fingerprints._shared_fingerprints.cache_clear()  # as a process that begins
    monkeypatch.setattr(fingerprints, "_content_hash", lambda path: pytest.fail(f"{path} is read again"))
    assert hub.objects("a/") == before


@pytest.mark.parametrize("memo", [b"\xff\n", b"1-2-3", b"x y a/1\n", b"\n\n"])
def test_a_memo_that_is_damaged_changes_nothing(hub, memo):
    hub.put("a/1", b"one")
    before = hub.objects("a/")
    (hub.root / fingerprints.MEMO).write_bytes(memo)
    fingerprints._shared_fingerprints.cache_clear()
    assert hub.objects("a/") == before
    fingerprints._shared_fingerprints.cache_clear()
    assert hub.objects("a/") == before


def test_a_hub_that_cannot_be_written_is_said_in_one_sentence(hub):
    hub.put("file", b"")
    with pytest.raises(HubError, match="Cannot write"):
        hub.put("file/under", b"")
    with pytest.raises(HubError, match="Cannot read"):
        hub.get("missing")
