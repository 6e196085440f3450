"""Records sent to the event stream become landing objects, each exactly once."""

import asyncio
import datetime as dt
import gzip
import json
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.common.batches import batches
from recsys_platform.common.errors import HubError, SettingsError
from recsys_platform.hub.layout import SOURCES, arrival_of, is_landing_key, source_of
from recsys_platform.ingestion.loading import load_events
from recsys_platform.sources.firehose.emulator import MIB, DeliveryStream, FirehoseEmulator
from recsys_platform.sources.firehose.limits import LIMITS, MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_RECORDS
from recsys_platform.sources.firehose.prefixes import complete_prefixes, evaluate_prefix, landing_prefixes
from recsys_platform.sources.firehose.producer import NotSentError, send
from recsys_platform.sources.firehose.server import firehose_app
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.servers import made_up_credentials

NOON = dt.datetime(2026, 11, 20, 12, 0, 5, tzinfo=dt.UTC)
PREFIX, ERROR_PREFIX = landing_prefixes("segment")
BIG = b"x" * MAX_RECORD_BYTES


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> dt.datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


class Shelf(dict[str, bytes]):
    """A hub in memory, which knows the order of its objects and can be out of order itself."""

    broken = False

    def put(self, key: str, data: bytes) -> None:
        if self.broken:
            raise HubError("Cannot write: the shelf is broken.")
        self[key] = data


class Busy:
    """Refuses the first tries of each record."""

    def __init__(self, tries: int = 1, *, of: Callable[[bytes], bool] = lambda data: True) -> None:
        self.tries, self.of = tries, of
        self.asked: dict[bytes, int] = {}

    def __call__(self, data: bytes) -> bool:
        self.asked[data] = self.asked.get(data, 0) + 1
        return self.of(data) and self.asked[data] <= self.tries


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def stream(shelf: Shelf, clock: Clock) -> Callable[..., FirehoseEmulator]:
    """An emulator with the one stream `events` of these settings, into the shelf."""

    def make(throttled: Callable[[bytes], bool] = lambda data: False, **settings: Any) -> FirehoseEmulator:
        return FirehoseEmulator(shelf, DeliveryStream("events", **settings), clock=clock, throttled=throttled)

    return make


def put(firehose: Any, *records: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = firehose.put_record_batch(
        DeliveryStreamName="events", Records=[{"Data": data} for data in records]
    )
    return answer


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def refused(call: Callable[..., Any], *args: Any, **named: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(*args, **named)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_batch_of_500_records_is_taken_and_one_more_is_refused_as_a_whole(stream, shelf):
    firehose = stream()
    assert put(firehose, *numbered(MAX_RECORDS))["FailedPutCount"] == 0
    assert refused(put, firehose, *numbered(MAX_RECORDS + 1))[0] == "InvalidArgumentException"
    firehose.flush()
    assert list(shelf.values()) == [b"".join(numbered(MAX_RECORDS))]


def test_an_empty_batch_is_refused(stream):
    assert refused(put, stream())[0] == "InvalidArgumentException"


def test_a_batch_holds_4_mib_and_not_a_byte_more(stream):
    last = MAX_BATCH_BYTES - 4 * MAX_RECORD_BYTES
    assert put(stream(), *[BIG] * 4, b"x" * last)["FailedPutCount"] == 0
    code, message = refused(put, stream(), *[BIG] * 4, b"x" * (last + 1))
    assert (code, message) == ("InvalidArgumentException", "A batch holds at most 4194304 bytes, not 4194305.")


def test_a_record_holds_1000_kib_and_not_a_byte_more(stream):
    firehose = stream()
    firehose.put_record(DeliveryStreamName="events", Record={"Data": BIG})
    code, _ = refused(firehose.put_record, DeliveryStreamName="events", Record={"Data": BIG + b"x"})
    assert code == "InvalidArgumentException"


def test_a_stream_that_nobody_made_is_not_found(stream):
    code, message = refused(stream().put_record, DeliveryStreamName="other", Record={"Data": b"a"})
    assert (code, message) == ("ResourceNotFoundException", "There is no stream other.")


@pytest.mark.parametrize(
    "hints", [{"buffer_mib": 0}, {"buffer_mib": 129}, {"buffer_seconds": -1}, {"buffer_seconds": 901}]
)
def test_a_stream_cannot_buffer_more_or_less_than_the_service_does(hints):
    with pytest.raises(SettingsError, match="1 to 128 MiB and 0 to 900 seconds"):
        DeliveryStream("events", **hints)


def test_every_record_of_a_batch_gets_an_id_of_its_own(stream):
    answer = put(stream(), b"a", b"b")
    ids = {told["RecordId"] for told in answer["RequestResponses"]}
    assert (answer["FailedPutCount"], answer["Encrypted"], len(ids)) == (0, False, 2)


def test_a_busy_stream_refuses_some_records_of_a_batch_and_delivers_the_others(stream, shelf):
    firehose = stream(throttled=Busy(of=lambda data: data == b"b"))
    answer = put(firehose, b"a", b"b", b"c")
    assert answer["FailedPutCount"] == 1
    assert answer["RequestResponses"][1] == {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
    assert ["RecordId" in told for told in answer["RequestResponses"]] == [True, False, True]
    firehose.flush()
    assert list(shelf.values()) == [b"ac"]


def test_a_busy_stream_refuses_a_single_record_with_an_error(stream):
    code, _ = refused(stream(throttled=Busy()).put_record, DeliveryStreamName="events", Record={"Data": b"a"})
    assert code == "ServiceUnavailableException"


def test_an_object_is_delivered_once_its_records_reach_the_size(stream, shelf):
    firehose = stream(buffer_mib=1)
    put(firehose, b"x" * (MIB // 2))
    assert not shelf
    put(firehose, b"x" * (MIB // 2), b"next")
    assert [len(data) for data in shelf.values()] == [MIB]
    firehose.flush()
    assert list(shelf.values())[1] == b"next"


def test_the_size_counts_before_compression(stream, shelf):
    put(stream(buffer_mib=1, gzip=True), b"x" * (MIB // 2), b"x" * (MIB // 2))
    (data,) = shelf.values()
    assert len(data) < MIB // 100


def test_an_object_is_delivered_once_its_first_record_has_waited_for_the_interval(stream, shelf, clock):
    firehose = stream(buffer_seconds=60)
    put(firehose, b"a")
    clock.wait(59)
    put(firehose, b"b")
    firehose.deliver_due()
    assert not shelf
    clock.wait(1)
    firehose.deliver_due()
    assert list(shelf.values()) == [b"ab"]


def test_a_record_that_comes_after_the_interval_begins_another_object(stream, shelf, clock):
    firehose = stream(buffer_seconds=60)
    put(firehose, b"a")
    clock.wait(60)
    put(firehose, b"b")
    assert list(shelf.values()) == [b"a"]


def test_without_an_interval_every_request_becomes_an_object(stream, shelf):
    firehose = stream(buffer_seconds=0)
    put(firehose, b"a", b"b")
    put(firehose, b"c")
    assert list(shelf.values()) == [b"ab", b"c"]


def test_nothing_is_delivered_where_nothing_was_sent(stream, shelf):
    firehose = stream()
    firehose.flush()
    firehose.deliver_due()
    assert not shelf


def test_what_the_hub_does_not_take_is_kept_and_delivered_later_under_the_same_key(stream, shelf):
    firehose = stream(buffer_seconds=0)
    shelf.broken = True
    assert put(firehose, b"a")["FailedPutCount"] == 0
    with pytest.raises(HubError, match="the shelf is broken"):
        firehose.flush()
    shelf.broken = False
    put(firehose, b"b")
    assert list(shelf.values()) == [b"a", b"b"]


def test_gzip_is_one_member_an_object(stream, shelf):
    firehose = stream(gzip=True, newline=True)
    put(firehose, b'{"n":1}', b'{"n":2}')
    firehose.flush()
    ((key, data),) = shelf.items()
    member = zlib.decompressobj(wbits=31)
    assert member.decompress(data) == b'{"n":1}\n{"n":2}\n'
    assert (member.eof, member.unused_data) == (True, b"")
    assert key.endswith(".gz")


def test_records_stand_one_after_another_unless_a_newline_is_asked_for(stream, shelf):
    firehose = stream()
    put(firehose, b"{}", b"{}")
    firehose.flush()
    assert list(shelf.values()) == [b"{}{}"]


def test_an_object_is_named_by_stream_version_and_the_arrival_of_its_first_record(stream, shelf, clock):
    firehose = stream(version=3)
    put(firehose, b"a")
    clock.wait(100)
    put(firehose, b"b")
    firehose.flush()
    (key,) = shelf
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"2026/11/20/12/events-3-2026-11-20-12-00-05-{uuid}", key)


@pytest.mark.parametrize("source", SOURCES)
def test_the_prefix_of_our_hub_gives_landing_objects_of_the_hour_of_arrival(stream, shelf, clock, source):
    prefix, error_prefix = landing_prefixes(source)
    firehose = stream(prefix=prefix, error_prefix=error_prefix, gzip=True)
    clock.now = dt.datetime(2026, 11, 20, 23, 30, tzinfo=dt.timezone(-dt.timedelta(hours=5)))
    put(firehose, b"{}")
    firehose.flush()
    (key,) = shelf
    assert is_landing_key(key)
    assert (source_of(key), arrival_of(key)) == (source, dt.datetime(2026, 11, 21, 4))
    assert not is_landing_key(evaluate_prefix(error_prefix, NOON, error_output_type="processing-failed") + "a.gz")


PREFIXES = [
    ("", "2026/11/20/12/"),
    ("myPrefix", "myPrefix2026/11/20/12/"),
    ("myPrefix/", "myPrefix/2026/11/20/12/"),
    ("a/!{timestamp:yyyy/MM/dd/HH}/", "a/2026/11/20/12/"),
    ("y=!{timestamp:yyyy}/m=!{timestamp:MM}/", "y=2026/m=11/"),
    ("!{timestamp:'year='yyyy'/month='MM}/", "year=2026/month=11/"),
    ("!{timestamp:yyyy-MM-dd HH.mm.ss}/", "2026-11-20 12.00.05/"),
    ("!{timestamp:yy M d H m s}/", "26 11 20 12 0 5/"),
    ("!{timestamp:yyyy''MM}/", "2026'11/"),
    ("!{timestamp:'it''s 'yyyy}/", "it's 2026/"),
]


@pytest.mark.parametrize(("prefix", "expected"), PREFIXES)
def test_a_prefix_is_evaluated_as_the_documentation_says(prefix, expected):
    whole, _ = complete_prefixes(prefix, ERROR_PREFIX)
    assert evaluate_prefix(whole, NOON) == expected


def test_the_time_of_a_prefix_is_utc_wherever_the_clock_stands():
    there = NOON.astimezone(dt.timezone(dt.timedelta(hours=13)))
    assert evaluate_prefix("!{timestamp:dd HH}", there) == "20 12"


def test_a_random_string_has_eleven_characters_and_is_another_each_time():
    expression = "!{firehose:random-string}"
    whole, _ = complete_prefixes(f"{expression}/{expression}/", ERROR_PREFIX)
    first, second, *time = evaluate_prefix(whole, NOON).split("/")
    assert (len(first), len(second), first != second) == (11, 11, True)
    assert time == ["2026", "11", "20", "12", ""]


def test_the_error_prefix_names_what_went_wrong_and_has_a_default():
    _, given_one = complete_prefixes("", "bad/!{firehose:error-output-type}/")
    _, default = complete_prefixes("good/", None)
    assert evaluate_prefix(given_one, NOON, error_output_type="processing-failed") == "bad/processing-failed/"
    assert (
        evaluate_prefix(default, NOON, error_output_type="processing-failed") == "good/processing-failed/2026/11/20/12/"
    )


REFUSED = [
    ("!{timestamp:YYYY}/", ERROR_PREFIX, "YYYY in the time pattern YYYY is not supported"),
    ("!{timestamp:MMM}/", ERROR_PREFIX, "MMM in the time pattern MMM is not supported"),
    ("!{timestamp:yyyy'T}/", ERROR_PREFIX, "cannot be read from 'T on: quote literals"),
    ("!{timestamp:[yyyy]}/", ERROR_PREFIX, r"cannot be read from \[yyyy\] on"),
    ("!{partitionKeyFromQuery:user}/", ERROR_PREFIX, "partitionKeyFromQuery:user} is not a supported expression"),
    ("!{timestamp}/", ERROR_PREFIX, "outside of an expression"),
    ("!{firehose:error-output-type}/", ERROR_PREFIX, "which only an error prefix may"),
    ("!{timestamp:yyyy}/", None, "give an error prefix beside it"),
    ("", "!{timestamp:yyyy}/", "but not !{firehose:error-output-type}: add it"),
    ("x" * 512, None, "has 526 characters when evaluated: at most 512"),
]


@pytest.mark.parametrize(("prefix", "error_prefix", "why"), REFUSED)
def test_a_prefix_that_the_service_or_the_stand_in_cannot_read_is_refused_in_one_sentence(prefix, error_prefix, why):
    with pytest.raises(SettingsError, match=why) as error:
        DeliveryStream("events", prefix=prefix, error_prefix=error_prefix)
    assert str(error.value).endswith(".")


def test_records_are_sent_in_as_few_batches_as_the_limits_allow():
    assert [len(batch) for batch in batches(numbered(1_201), LIMITS)] == [500, 500, 201]
    assert [len(batch) for batch in batches([BIG] * 9, LIMITS)] == [4, 4, 1]
    full = [BIG] * 4 + [b"x" * (MAX_BATCH_BYTES - 4 * MAX_RECORD_BYTES)]
    assert [len(batch) for batch in batches([*full, b"x"], LIMITS)] == [5, 1]
    assert list(batches([], LIMITS)) == []


def test_only_the_refused_records_are_sent_again(stream, shelf):
    busy = Busy(2, of=lambda data: data == b"7")
    firehose = stream(throttled=busy, newline=True)
    send(firehose, "events", numbered(10), wait_seconds=0)
    firehose.flush()
    (data,) = shelf.values()
    assert data.split() == [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"8", b"9", b"7"]
    assert {busy.asked[record] for record in numbered(10)} == {1, 3}


def test_what_cannot_be_sent_is_counted_in_one_error_that_holds_it(stream, shelf):
    firehose = stream(throttled=Busy(99, of=lambda data: data in (b"501", b"502")))
    with pytest.raises(NotSentError) as error:
        send(firehose, "events", numbered(1_001), attempts=3, wait_seconds=0)
    assert str(error.value) == (
        "3 of 1,001 records could not be sent to the stream events: "
        "ServiceUnavailableException (Slow down.) after 3 tries."
    )
    assert error.value.unsent == (b"501", b"502", b"1000")
    firehose.flush()
    assert b"".join(shelf.values()) == b"".join(data for data in numbered(1_000) if data not in error.value.unsent)


def test_a_record_too_large_for_the_service_stops_everything_before_it_begins(stream, shelf):
    firehose = stream()
    with pytest.raises(
        NotSentError, match=r"2 of 2 records .*: 1 larger than 1,024,000 bytes, so that nothing was sent"
    ):
        send(firehose, "events", [b"small", BIG + b"x"])
    firehose.flush()
    assert not shelf


def test_an_error_of_the_whole_request_is_told_with_its_name(stream):
    with pytest.raises(NotSentError, match=r"2 of 2 records .* the stream other: .*ResourceNotFoundException") as error:
        send(stream(), "other", [b"a", b"b"])
    assert error.value.unsent == (b"a", b"b")


def test_what_the_producer_sends_is_loaded_exactly_once(hub, warehouse: DuckDBWarehouse, clock, view):
    records = [json.dumps(view(f"m{number}")).encode() for number in range(1_200)]
    settings = DeliveryStream("events", PREFIX, ERROR_PREFIX, gzip=True, buffer_seconds=60)
    firehose = FirehoseEmulator(hub, settings, clock=clock, throttled=Busy(of=lambda data: len(data) % 2 == 0))
    for start in range(0, len(records), 400):
        send(firehose, "events", records[start : start + 400], wait_seconds=0)
        clock.wait(60)
    firehose.flush()
    objects = hub.objects("engagement_events/")
    report = load_events(hub, warehouse, objects)
    assert (report.objects, report.accepted, report.rejected) == (3, 1_200, 0)
    again = load_events(hub, warehouse, objects)
    assert again.records == 0
    loaded = warehouse.frame("select record from raw.engagement_events")["record"].to_pylist()
    assert sorted(json.loads(record)["messageId"] for record in loaded) == sorted(f"m{n}" for n in range(1_200))


SIZES = st.one_of(st.integers(0, 40), st.integers(0, 400_000), st.just(MAX_RECORD_BYTES - 12))


@settings(max_examples=40)
@given(
    sizes=st.lists(SIZES, max_size=12),
    cut=st.integers(1, 5),
    waits=st.lists(st.integers(0, 90), min_size=12, max_size=12),
    buffer_seconds=st.sampled_from([0, 60, 900]),
    packed=st.booleans(),
)
def test_whatever_is_sent_every_record_is_delivered_once_and_in_order(sizes, cut, waits, buffer_seconds, packed):
    records = [b"%d:" % number + b"x" * size for number, size in enumerate(sizes)]
    shelf, clock = Shelf(), Clock()
    kind = DeliveryStream("events", buffer_mib=1, buffer_seconds=buffer_seconds, gzip=packed, newline=True)
    firehose = FirehoseEmulator(shelf, kind, clock=clock)
    for start in range(0, len(records), cut):
        send(firehose, "events", records[start : start + cut])
        clock.wait(waits[start])
    firehose.flush()
    plain = b"".join(gzip.decompress(data) if packed else data for data in shelf.values())
    assert plain.split(b"\n")[:-1] == records


def address_of(server: uvicorn.Server) -> str:
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
def client(stream) -> Iterator[Callable[..., tuple[Any, FirehoseEmulator]]]:
    """boto3's own client of an emulator that listens on the loopback, and the emulator."""
    running = []

    def connect(**settings: Any) -> tuple[Any, FirehoseEmulator]:
        firehose = stream(**settings)
        server = uvicorn.Server(uvicorn.Config(firehose_app(firehose), host="127.0.0.1", port=0, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        return boto3.client("firehose", endpoint_url=address_of(server)), firehose

    with made_up_credentials():
        yield connect
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


def test_the_real_client_sends_records_and_reads_refusals(client, shelf):
    real, firehose = client(throttled=Busy(of=lambda data: data == b"b"), newline=True)
    assert real.put_record(DeliveryStreamName="events", Record={"Data": b"\x00\xff"})["RecordId"]
    answer = put(real, b"a", b"b")
    assert answer["FailedPutCount"] == 1
    assert answer["RequestResponses"][1]["ErrorCode"] == "ServiceUnavailableException"
    send(real, "events", [b"b", b"c"], wait_seconds=0)
    firehose.flush()
    assert list(shelf.values()) == [b"\x00\xff\na\nb\nc\n"]


def test_the_real_client_raises_the_errors_of_the_service(client):
    real, _ = client()
    with pytest.raises(real.exceptions.ResourceNotFoundException, match="There is no stream other"):
        real.put_record(DeliveryStreamName="other", Record={"Data": b"a"})
    with pytest.raises(real.exceptions.InvalidArgumentException, match="500 records, not 501"):
        put(real, *numbered(501))
    code, message = refused(real.list_delivery_streams)
    assert (code, message) == ("UnknownOperationException", "ListDeliveryStreams is not supported.")


def test_what_a_server_still_holds_is_delivered_when_it_ends(stream, shelf):
    firehose = stream()
    app = firehose_app(firehose)

    async def live() -> None:
        async with app.router.lifespan_context(app):
            put(firehose, b"a")
            assert not shelf

    asyncio.run(live())
    assert list(shelf.values()) == [b"a"]
