"""Many kinds of bytes that nobody should send: read in a time that grows with their number, and none of them lost.

The bytes are the same at each run: what is drawn at random is drawn from one seed.
"""

import datetime as dt
import json
import random
import time

import pytest

from recsys_platform.hub.layout import LANDING, landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.framing import split_records
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.pace import patience

EVENT = json.dumps(
    {"messageId": "m1", "userId": "u1", "context": {"ip": "192.0.2.1"}, "properties": {"tags": ["a", {"b": 1}]}}
)
PRETTY = json.dumps(json.loads(EVENT), indent=1)
REPEATED = {
    "braces that open": "{",
    "brackets that open": "[",
    "objects in objects": '{"a":',
    "arrays and objects in turn": '{"a":[',
    "one brace a line": "{\n",
    "an array deeper at each line": "[1,\n",
    "an object deeper at each line": '{"a":[1,\n',
    "events without their last brace": f"{EVENT[:-1]}\n",
    "events without their last brace and nothing between them": EVENT[:-1],
    "events cut off": f"{EVENT[:40]}\n",
    "pretty-printed events without their last brace": PRETTY[:-1],
    "records and broken ones in turn": '{"a":1}{"b":',
    "strings that nothing closes": '{"a":"\n',
    "braces in strings and strings in braces": '{"a":["{","{"b":["',
    "escaped quotes": '{"\\"',
    "brackets closed by braces": '{"a":[}',
    "a bracket closed by a brace a line": "[}\n",
    "halves of characters": '{"a":"\\ud83d"}',
    "NaN at each depth": '{"a":[NaN,\n',
    "an array of empty objects": "[{},\n",
    "NUL": "\0",
}
DRAWN = {
    "any bytes": bytes(range(256)),
    "what JSON is made of": b'{}[]",:\\ \n1a',
    "what JSON is made of, in one line": b'{}[]",:\\1a',
}


def adversarial(kind: str, size: int) -> bytes:
    if kind in DRAWN:
        return bytes(random.Random(7).choices(DRAWN[kind], k=size))
    if kind == "UTF-16":
        return (EVENT * (size // len(EVENT) // 2 + 1)).encode("utf-16-le")[:size]
    if kind == "a deep object that is closed":
        return b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6)
    if kind == "a number of millions of digits":
        return b'{"n":' + b"1" * size + b"}"
    text = REPEATED[kind].encode()
    return (text * (size // len(text) + 1))[:size]


def seconds_to_read(data: bytes) -> float:
    start = time.process_time()
    split_records(data)
    return time.process_time() - start


KINDS = [*REPEATED, *DRAWN, "UTF-16", "a deep object that is closed", "a number of millions of digits"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_megabytes_of_any_bytes_are_read_in_five_seconds(kind):
    data = adversarial(kind, 5_000_000)
    assert any(seconds_to_read(data) < 5 * patience(time.process_time) for _ in range(3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_record_after_any_bytes_and_a_line_end_is_read(kind):
    good = {"id": "good"}
    pieces = split_records(adversarial(kind, 20_000) + f"\n{json.dumps(good)}\noops".encode())
    assert json.loads(pieces[-2].text) == good
    assert pieces[-2].reason is None


def test_of_all_kinds_of_bytes_each_record_is_accepted_or_rejected(tmp_path):
    hub, warehouse = FolderHub(tmp_path / "hub"), DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    warehouse.prepare()
    for number, kind in enumerate(KINDS):
        good = {"messageId": str(number), "timestamp": "2026-11-20T05:00:00Z", "userId": "u"}
        data = adversarial(kind, 20_000) + f"\n{json.dumps(good)}\n".encode()
        hub.put(landing_key("segment", dt.datetime(2026, 11, 20, 5), f"{number:02}.gz"), data)
    report = load_events(hub, warehouse, list(hub.objects(LANDING)))
    assert report.records == report.accepted + report.rejected
    stored = warehouse.frame(
        "select (select count(*) from raw.engagement_events) as a, (select count(*) from raw.rejected_records) as r"
    )
    assert stored.to_pylist() == [{"a": report.accepted, "r": report.rejected}]
    assert report.accepted == len(KINDS)
