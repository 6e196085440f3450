import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.errors import HubError
from recsys_platform.hub.keys import SOURCES, arrival_of, is_landing_key, landing_key, landing_prefix, source_of


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


def test_a_hub_that_cannot_be_written_is_said_in_one_sentence(hub):
    hub.put("file", b"")
    with pytest.raises(HubError, match="Cannot write"):
        hub.put("file/under", b"")
    with pytest.raises(HubError, match="Cannot read"):
        hub.get("missing")
