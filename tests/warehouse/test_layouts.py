"""Every layout that lands, through the loader and through Python's framing: the same records at the same places."""

import datetime as dt
import gzip
import json
import time

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recsys_platform.hub.layout import SOURCES, landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.ingestion.framing import split_records
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.revalidation import rejection_reasons_of
from recsys_platform.ingestion.validation import SHORTEST, needed_fields
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.days import DAY

ONE = {"messageId": "m1", "timestamp": "t", "userId": "u", "properties": {"query": 'braces }{ and "quotes" \\'}}
TWO = {"messageId": "m2", "timestamp": "t", "userId": "ü", "context": {"list": [1, {"x": None}]}}
THREE = {"messageId": "m3", "timestamp": "t", "userId": "u"}
A, B, C = (json.dumps(record).encode() for record in (ONE, TWO, THREE))
D = b'{"messageId":"m4","timestamp":"t","anonymousId":"a"}'
LARGE = json.dumps({**ONE, "properties": {"note": "x{}" * 333_334}}).encode()
LINES = b"\n".join(json.dumps({**THREE, "messageId": f"m{n}", "h": f"{n * n:x}"}).encode() for n in range(2000))
pack = gzip.compress

WHOLE = {
    "concatenated": (A + B + C, 3),
    "newline-delimited": (A + b"\n" + B + b"\n" + C + b"\n", 3),
    "pretty-printed": (b"\n".join(json.dumps(r, indent=2).encode() for r in (ONE, TWO, THREE)), 3),
    "pretty-printed and concatenated": (b"".join(json.dumps(r, indent=2).encode() for r in (ONE, TWO, THREE)), 3),
    "CRLF": (A + b"\r\n" + B + b"\r\n" + C + b"\r\n", 3),
    "a byte order mark": (b"\xef\xbb\xbf" + A + B, 2),
    "byte order marks between": (b"\xef\xbb\xbf" + A + b"\n\xef\xbb\xbf" + B, 2),
    "blank lines": (b"\n\n" + A + b"\n\n\n" + B + b" \n", 2),
    "blanks before a record without a user": (A + b"\n " + D + b"\n\t" + D, 3),
    "nothing": (b"", 0),
    "only blanks": (b" \r\n", 0),
    "one record": (A, 1),
    "a record of 1 MB": (A + LARGE + B, 3),
    "characters as escapes": (rb'{"messageId":"m\u00fc","timestamp":"t","userId":"\ud83d\ude00"}', 1),
}
OBJECTS = {
    **{f"{name}, plain": ("a.json", data, count, []) for name, (data, count) in WHOLE.items()},
    **{f"{name}, gzip": ("a.gz", pack(data), count, []) for name, (data, count) in WHOLE.items()},
    "no bytes at all, named gz": ("a.gz", b"", 0, []),
    "plain, named gz": ("a.gz", A + B, 2, []),
    "gzip, not named so": ("a", pack(A + B), 2, []),
    "several gzip members": ("a.gz", pack(A) + pack(b"") + pack(B + b"\n" + C), 3, []),
    "a gzip padded with zeros": ("a.gz", pack(A) + b"\0" * 512, 1, []),
    "bytes after the gzip": ("a.gz", pack(A) + b"oops", 1, ["not JSON: expecting value"]),
    "a gzip that lacks its last bytes": ("a.gz", pack(A + b"\n" + B + b"\n")[:-3], 2, ["truncated gzip"]),
    "a second member cut short": ("a.gz", pack(A) + pack(B)[:-9], 2, ["truncated gzip"]),
    "bytes that are not UTF-8": (
        "a.gz",
        pack(A + b'\n{"messageId":"m","timestamp":"t","userId":"\xff"}\n' + B),
        2,
        ["not UTF-8"],
    ),
    "bytes that are not UTF-8, plain and without newlines": (
        "a.json",
        A + b'{"messageId":"m\xe9","timestamp":"t","userId":"u"}' + B,
        2,
        ["not UTF-8"],
    ),
    "text in another encoding": ("a.json", "é".encode("latin-1") + b"\n" + A, 1, ["not UTF-8"]),
    "a line that is no JSON": ("a.gz", pack(A + b"\noops\n" + B), 2, ["not JSON: expecting value"]),
    "an array of records": ("a.json", b"[" + A + b"," + B + b"]" + C, 1, ["not a JSON object"]),
    "values that are no objects": ("a.json", b'1\n"x"\n' + A, 1, ["not a JSON object"] * 2),
    "a comma between": ("a.json", A + b"," + B, 2, ["not JSON: expecting value"]),
    "a record that is cut off": ("a.gz", pack(A + B[:17] + C), 2, ["not JSON: unterminated string starting"]),
}


def load_one(home, name: str, data: bytes, source: str = "segment"):
    """What one object becomes: accepted and rejected rows as (place, text or reason)."""
    home.mkdir(exist_ok=True)
    hub, warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "w.duckdb")
    warehouse.prepare()
    key = landing_key(source, dt.datetime.combine(DAY, dt.time(5)), name)
    hub.put(key, data)
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    accepted = warehouse.frame(
        "select record_index as at, record::varchar as text from raw.engagement_events order by 1"
    )
    rejected = warehouse.frame("select record_index as at, payload, reason from raw.rejected_records order by 1")
    return [tuple(r.values()) for r in accepted.to_pylist()], [tuple(r.values()) for r in rejected.to_pylist()]


@pytest.mark.parametrize(("name", "data", "count", "reasons"), OBJECTS.values(), ids=OBJECTS)
def test_every_layout_loads_the_same_records_that_python_frames(tmp_path, name, data, count, reasons):
    pieces = split_records(data)
    accepted, rejected = load_one(tmp_path, name, data)
    good = [(at, json.loads(piece.text)) for at, piece in enumerate(pieces) if piece.reason is None]
    assert [(at, json.loads(text)) for at, text in accepted] == good
    assert rejected == [(at, piece.text, piece.reason) for at, piece in enumerate(pieces) if piece.reason]
    assert (len(accepted), [reason for *_, reason in rejected]) == (count, reasons)


def test_a_truncated_gzip_loads_what_is_readable_and_rejects_its_tail(tmp_path):
    accepted, rejected = load_one(tmp_path, "a.gz", pack(LINES)[:-2000])
    assert 500 < len(accepted) < 2000
    assert [json.loads(text)["messageId"] for _, text in accepted] == [f"m{n}" for n in range(len(accepted))]
    assert [(at, reason) for at, _, reason in rejected] == [(len(accepted), "truncated gzip")]


def test_what_the_warehouse_reads_beyond_the_letter_of_json_is_accepted_whichever_way_it_comes(tmp_path):
    liberal = [
        b'{"messageId":"m","timestamp":"t","userId":"u","x":NaN}',
        b'{"messageId":"m","timestamp":"t","userId":"u",}',
    ]
    for number, more in enumerate((b"", b"\noops")):
        accepted, rejected = load_one(tmp_path / str(number), "a.json", b"\n".join(liberal) + more)
        assert [text.encode() for _, text in accepted] == liberal
        assert len(rejected) == number


def test_deeply_nested_records_are_accepted_whichever_way_they_come(tmp_path):
    deep = b'{"messageId":"m","timestamp":"t","userId":"u","x":' + b"[" * 3000 + b"]" * 3000 + b"}"
    for number, more in enumerate((b"", b"\noops")):
        assert len(load_one(tmp_path / str(number), "a.json", deep + more)[0]) == 1


def test_places_follow_the_order_of_records_in_many_objects_that_are_read_at_once(hub, warehouse, land, view):
    for number in range(40):
        land(f"{number:02}.gz", *(view(f"{number}-{n}") for n in range(1500)), *([b"oops"] if number % 7 == 3 else []))
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    wrong = r"""select count(*) from raw.engagement_events where record ->> '$.messageId' <>
        regexp_extract(object_key, '(\d\d)\.gz', 1)::int || '-' || record_index"""
    assert warehouse.frame(wrong)[0][0].as_py() == 0
    assert warehouse.frame("select distinct record_index from raw.rejected_records")[0].to_pylist() == [1500]


APP = {
    "event_type": "_session.start",
    "event_timestamp": 1_790_000_000_000,
    "client": {"client_id": "c-1"},
    "attributes": {},
    "metrics": {},
}
PINPOINT = [
    APP,
    APP | {"event_type": "_email.open", "facets": {"email_channel": {"mail_event": {"mail": {"message_id": "x"}}}}},
    APP | {"event_type": "_SMS.SUCCESS", "metrics": {"price_in_millicents_usd": 645.0}},
    APP | {"event_type": "_campaign.send", "client": {}, "endpoint": {"User": {"UserId": "u-1"}}},
    APP | {"event_type": "_journey.send", "client_context": {"custom": {"endpoint": '{"ChannelType":"EMAIL"}'}}},
]
WITH_LINE_BREAK = (
    b'{\n  "event_type": "_campaign.send",\n  "client_context": {"endpoint": "{\\"Type\\":\n      \\"GCM\\"}"}\n}'
)


@pytest.mark.parametrize("indent", [None, 1])
def test_pinpoint_records_land_and_one_with_a_line_break_in_a_string_is_rejected_between_them(tmp_path, indent):
    records = [json.dumps(record, indent=indent).encode() for record in PINPOINT]
    data = b"".join([*records[:2], WITH_LINE_BREAK, *records[2:]])
    accepted, rejected = load_one(tmp_path, "a.gz", pack(data), source="pinpoint")
    assert [json.loads(text) for _, text in accepted] == PINPOINT
    assert rejected == [(2, WITH_LINE_BREAK.decode(), "not JSON: invalid control character")]


PART = st.sampled_from(
    [A, B, b"oops", b"{", b"}", b'{"a":"', b"[1]", b"\xff", b"\n", b"\xef\xbb\xbf", rb'{"a":"\udc00"}']
)


OBJECT = st.tuples(st.lists(PART, max_size=8), st.booleans(), st.integers(0, 40))


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OBJECT, max_size=5))
@example([([b"\xef\xbb\xbf"], False, 0), ([b"\n"], True, 0)])
@example([([A, B], True, 9), ([b"\x1f\x8b"], False, 0), ([], True, 1)])
def test_loader_and_framing_agree_on_any_mixture(tmp_path_factory, objects):
    data = {
        f"{n}.gz" if packed else f"{n}": cut_off(parts, packed, cut) for n, (parts, packed, cut) in enumerate(objects)
    }
    landed = load(tmp_path_factory.mktemp("world"), data)
    for name, content in data.items():
        pieces, found = split_records(content), landed.get(name, {})
        assert sorted(found) == list(range(len(pieces)))
        for at, piece in enumerate(pieces):
            lacks_id = piece.reason is None and "messageId" not in json.loads(piece.text)
            assert found[at] == (piece.text, "no message id" if lacks_id else piece.reason)


def cut_off(parts: list[bytes], packed: bool, cut: int) -> bytes:
    return pack(b"".join(parts))[: -cut or None] if packed else b"".join(parts)


def load(home, data: dict[str, bytes]) -> dict[str, dict[int, tuple[str, str | None]]]:
    """Name of each object → place → text and reason of its records."""
    hub, warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "w.duckdb")
    warehouse.prepare()
    for name, content in data.items():
        hub.put(landing_key("segment", dt.datetime.combine(DAY, dt.time(5)), name), content)
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    found: dict[str, dict[int, tuple[str, str | None]]] = {}
    both = """select object_key, record_index, record::varchar, null from raw.engagement_events
        union all select object_key, record_index, payload, reason from raw.rejected_records"""
    with warehouse.connect() as con:
        for key, at, text, reason in con.execute(both).fetchall():
            found.setdefault(key.rpartition("/")[2], {})[at] = (text, reason)
    return found


def test_text_too_short_for_a_record_costs_no_more_than_records_do():
    """Two bytes a line, and millions of them: each was looked into at the price of an exception."""
    short = {"segment": {"messageId": 1, "timestamp": 1, "userId": 1}, "matomo": {"idsite": 1, "cdt": 1, "uid": 1}}
    assert min(len(json.dumps(each, separators=(",", ":"))) for each in short.values()) == SHORTEST
    spent = {}
    with duckdb.connect(config={"threads": 1}) as con:
        for text in ("x\n", json.dumps(short["matomo"])):
            con.execute("create or replace table texts as select ? as text from range(100_000)", [text])
            begin = time.process_time()
            [(suspects,)] = con.execute(
                f"select count(*) from texts where {needed_fields('matomo', 'text')}"
            ).fetchall()
            spent[suspects] = time.process_time() - begin
    assert spent[100_000] < spent[0]


@pytest.mark.parametrize("source", SOURCES)
def test_no_envelope_accepts_a_shorter_record_than_is_looked_at(source):
    shortest = [
        min((path.split(".")[1:] for path in need.paths), key=lambda names: len("".join(names)))
        for need in ENVELOPE[source]
    ]
    record = {}
    for first, *rest in shortest:
        record[first] = 1 if not rest else {rest[0]: 1}
    text = json.dumps(record, separators=(",", ":"))
    assert rejection_reasons_of(source, [text]) == [None]
    assert len(text) >= SHORTEST
