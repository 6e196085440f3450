"""Landing objects are what Firehose writes, and the same records always make the same object."""

import datetime as dt
import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from recsys_platform.hub.landing_writer import ObjectRange, WrittenObject, write_landing
from recsys_platform.hub.layout import is_landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub

NOON = dt.datetime(2026, 11, 21, 12, 20, 3)
RECORDS = pa.array(['{"a":1}', '{"b":"ü"}', '{"c":3}', '{"d":4}'])


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return FolderHub(tmp_path)


def test_records_stand_on_lines_or_one_after_another_as_the_cut_says(hub: Hub) -> None:
    ranges = [ObjectRange(NOON, 0, 2), ObjectRange(NOON, 2, 4, newline=False)]
    lines, joined = write_landing(hub, RECORDS, source="segment", ranges=ranges)
    assert gzip.decompress(hub.get(lines.key)).decode() == '{"a":1}\n{"b":"ü"}\n'
    assert gzip.decompress(hub.get(joined.key)) == b'{"c":3}{"d":4}'


def test_an_object_is_named_by_stream_and_time_in_the_folder_of_its_hour(hub: Hub) -> None:
    [landed] = write_landing(hub, RECORDS, source="matomo", ranges=[ObjectRange(NOON, 0, 4)], stream="clicks")
    assert landed.key.startswith("engagement_events/source=matomo/2026/11/21/12/clicks-1-2026-11-21-12-20-03-")
    assert is_landing_key(landed.key)
    assert landed.records == 4


def test_the_same_records_again_leave_the_object_untouched(hub: Hub) -> None:
    write_landing(hub, RECORDS, source="segment", ranges=[ObjectRange(NOON, 0, 4)])
    before = hub.objects("engagement_events/")
    write_landing(hub, RECORDS, source="segment", ranges=[ObjectRange(NOON, 0, 4)])
    assert hub.objects("engagement_events/") == before


@pytest.mark.parametrize(
    "other",
    [
        ObjectRange(NOON, 0, 3),
        ObjectRange(NOON + dt.timedelta(seconds=1), 0, 4),
        ObjectRange(NOON, 0, 4, newline=False),
    ],
)
def test_another_content_or_time_is_another_object(hub: Hub, other: ObjectRange) -> None:
    [first] = write_landing(hub, RECORDS, source="segment", ranges=[ObjectRange(NOON, 0, 4)])
    [second] = write_landing(hub, RECORDS, source="segment", ranges=[other])
    assert first.key != second.key


def test_each_object_is_reported_when_it_is_written(hub: Hub) -> None:
    written: list[WrittenObject] = []
    ranges = [ObjectRange(NOON, 0, 1), ObjectRange(NOON, 1, 4)]
    assert write_landing(hub, RECORDS, source="segment", ranges=ranges, on_written=written.append) == written


def test_no_records_make_no_object(hub: Hub) -> None:
    assert write_landing(hub, pa.array([], pa.string()), source="segment", ranges=[]) == []


@pytest.mark.parametrize("middle", range(6))
def test_what_lands_is_what_was_given_wherever_it_is_cut(hub: Hub, middle: int) -> None:
    records = ["", "ü€😀", "two\nlines", '{"a":"}{"}', " "]
    offset = pa.array(["before", *records]).slice(1)
    ranges = [ObjectRange(NOON, 0, middle), ObjectRange(NOON, middle, 5, newline=False)]
    lined, joined = write_landing(hub, offset, source="segment", ranges=ranges)
    assert gzip.decompress(hub.get(lined.key)).decode() == "".join(f"{each}\n" for each in records[:middle])
    assert gzip.decompress(hub.get(joined.key)).decode() == "".join(records[middle:])
