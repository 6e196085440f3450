"""Events reach every receiver that is configured, each at its own pace, with nothing of a reader that it may not see."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from recsys_platform.cli.app import app
from recsys_platform.common.errors import SettingsError
from recsys_platform.config.world_files import DEFAULTS, DESTINATIONS
from recsys_platform.hub.local import FolderHub
from recsys_platform.serving.delivery import DeliveryQueue, queue_state, replay_dead_letters
from recsys_platform.serving.destinations.config import (
    DestinationsError,
    load_destinations,
    parse_destinations,
    queues_of,
)
from recsys_platform.serving.destinations.http import BatchPost, segment, webhook
from recsys_platform.serving.destinations.personalize import Personalize
from recsys_platform.serving.destinations.selection import Selection
from recsys_platform.serving.destinations.sending import Receiver, in_batches
from recsys_platform.serving.destinations.streams import Firehose, Kinesis
from recsys_platform.serving.exposures import EventSpool, to_hub
from tests.support.pace import wait_until
from tests.support.recording_server import Received, RecordingServer, recording_server
from tests.support.servers import made_up_credentials, moto
from tests.support.serving_world import event, landed_lines

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four").decode()  # pragma: allowlist secret
SECRETS = {"HOOK_SECRET": SECRET, "WRITE_KEY": "wk", "TRACKING_ID": "t-1", "HASH_KEY": "pepper"}


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with recording_server() as started:
        yield started


def queue_to(receiver: Receiver, folder: Path, **more: Any) -> DeliveryQueue:
    return DeliveryQueue("crm", folder / "crm", in_batches(receiver), poll_seconds=0.05, **more)


def spool_with(folder: Path, *queues: DeliveryQueue) -> EventSpool:
    return EventSpool(folder, to_hub(FolderHub(folder / "hub")), flush_seconds=0.05, destinations=queues)


def numbered(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [event("Book Viewed", "b01", key=f"m{number:05d}") for number in range(start, start + count)]


def ids_of(events: list[dict[str, Any]]) -> list[str]:
    return [each["messageId"] for each in events]


def refuse_events(*keys: str) -> Callable[[Received], tuple[int, bytes, dict[str, str]]]:
    """Answers 400 to a batch that holds one of these events."""

    def answer(request: Received) -> tuple[int, bytes, dict[str, str]]:
        is_wrong = set(keys) & set(ids_of(request.content["batch"]))
        return (400 if is_wrong else 200), b"{}", {}

    return answer


def test_a_webhook_can_check_who_posted_and_that_nothing_was_changed(server: RecordingServer, tmp_path: Path) -> None:
    queue = queue_to(webhook(f"{server.url}/hook?token=x", SECRET), tmp_path)
    spool = spool_with(tmp_path, queue)
    spool.append(*numbered(150))
    spool.hand_over()
    assert queue.flush()
    assert ids_of(server.events()) == ids_of(numbered(150))
    for each in server.accepted:
        headers = each.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + each.body
        expected = hmac.new(b"a secret of twenty-four", signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 600
    assert [len(each.content["batch"]) for each in server.accepted] == [100, 50]
    assert len({each.headers["webhook-id"] for each in server.accepted}) == 2


def test_segment_gets_batches_within_its_limits_with_the_write_key(server: RecordingServer, tmp_path: Path) -> None:
    queue = queue_to(segment(server.url, "wk"), tmp_path)
    spool = spool_with(tmp_path, queue)
    large = [event("Book Viewed", "b01", key=f"large{number}", title="x" * 20_000) for number in range(40)]
    too_large = event("Book Viewed", "b01", key="huge", title="x" * 33_000)
    spool.append(*large, too_large)
    spool.hand_over()
    queue.flush()
    assert {each.path for each in server.accepted} == {"/v1/batch"}
    assert {each.headers["authorization"] for each in server.accepted} == {f"Basic {base64.b64encode(b'wk:').decode()}"}
    assert max(len(each.body) for each in server.accepted) < 500_000
    assert ids_of(server.events()) == ids_of(large)
    assert queue_state(queue.folder).dead_events == 1


def test_what_is_refused_as_wrong_is_kept_apart_with_its_reason_and_can_be_sent_again(
    server: RecordingServer, tmp_path: Path
) -> None:
    queue = queue_to(webhook(server.url, SECRET), tmp_path)
    spool = spool_with(tmp_path, queue)
    server.answer = refuse_events("m00003", "m00077")
    spool.append(*numbered(100))
    spool.hand_over()
    assert queue.flush()
    sent = Counter(ids_of(server.events()))
    assert set(sent.values()) == {1}
    assert set(ids_of(numbered(100))) - set(sent) == {"m00003", "m00077"}
    assert len(server.requests) < 30  # a batch is halved, not sent one by one
    state = queue_state(queue.folder)
    assert (state.waiting_events, state.dead_events, queue.figures.dead) == (0, 2, 2)
    (letters,) = queue.folder.glob("*.dead")
    assert {json.loads(line)["reason"] for line in letters.read_text().splitlines()} == {"it answered 400"}

    server.answer = refuse_events()
    assert replay_dead_letters(queue.folder) == 2
    assert queue.flush()
    assert set(ids_of(server.events())) == set(ids_of(numbered(100)))
    assert queue_state(queue.folder).dead_events == 0


def test_a_receiver_that_is_away_gets_all_later_in_order_and_slows_no_other(
    server: RecordingServer, tmp_path: Path
) -> None:
    with recording_server() as other:
        away = queue_to(webhook(server.url, SECRET), tmp_path)
        well = DeliveryQueue(
            "analytics", tmp_path / "analytics", in_batches(segment(other.url, "wk")), poll_seconds=0.05
        )
        spool = spool_with(tmp_path, away, well)
        server.answer = lambda request: (503, b"", {})
        spool.start()
        spool.append(*numbered(200))
        wait_until(lambda: len(other.events()) == 200 and len(landed_lines(FolderHub(tmp_path / "hub"))) == 200)
        wait_until(lambda: queue_state(away.folder).problem == away.problem == "it answered 503")
        assert spool.trouble
        assert "wait for crm: it answered 503." in spool.trouble
        server.answer = lambda request: (200, b"", {})
        wait_until(lambda: len(server.events()) == 200)
        spool.stop()
    assert ids_of(server.events()) == ids_of(numbered(200))
    assert (spool.trouble, queue_state(away.folder).problem) == (None, "")


def test_only_what_was_refused_is_sent_again_even_by_another_process(server: RecordingServer, tmp_path: Path) -> None:
    def answer(request: Received) -> tuple[int, bytes, dict[str, str]]:
        return (200 if len(server.accepted) < 2 else 503), b"", {}

    server.answer = answer
    first = queue_to(webhook(server.url, SECRET), tmp_path)
    spool = spool_with(tmp_path, first)
    spool.append(*numbered(500))
    spool.hand_over()
    assert first.flush()  # in part
    assert queue_state(first.folder).waiting_events == 300
    server.answer = lambda request: (200, b"", {})
    assert queue_to(webhook(server.url, SECRET), tmp_path).flush()
    assert ids_of(server.events()) == ids_of(numbered(500))


def test_a_receiver_that_is_away_for_long_loses_the_oldest_events_beyond_its_limit_and_says_so(tmp_path: Path) -> None:
    nobody = webhook("http://127.0.0.1:9/", SECRET)
    queue = queue_to(nobody, tmp_path, keep_bytes=3 * 4096)
    spool = spool_with(tmp_path, queue)
    for number in range(5):
        spool.append(*numbered(10, 10 * number))
        spool.flush()
    waiting = b"".join(path.read_bytes() for path in sorted(queue.folder.glob("*.ready")))
    assert ids_of([json.loads(line) for line in waiting.splitlines()]) == ids_of(numbered(30, 20))
    assert (queue.figures.dropped, queue.waiting.files) == (20, 3)
    assert spool.trouble == "20 events for crm were dropped for lack of disk space."
    assert len(landed_lines(FolderHub(tmp_path / "hub"))) == 50


def test_a_destination_sees_named_properties_and_hashed_ids_alone() -> None:
    seen = event("Book Viewed", "b01", user="u01", device="phone", query="shame", request_id="r1") | {
        "context": {"ip": "192.0.2.1"},
        "traits": {"email": "a@example.com"},
    }
    others = [
        {"type": "identify", "messageId": "i1", "userId": "u01", "traits": {"email": "a@example.com"}},
        event("Book Saved", "b01", key="m2"),
        {"type": "track", "event": "Book Viewed", "properties": "none"},
    ]
    content = b"".join(json.dumps(each).encode() + b"\n" for each in (seen, *others))
    (line,) = Selection(names={"Book Viewed"}, hash_key=b"pepper")(content).splitlines()
    assert json.loads(line) == {
        "type": "track",
        "event": "Book Viewed",
        "messageId": "m1",
        "userId": hmac.new(b"pepper", b"u01", hashlib.sha256).hexdigest(),
        "anonymousId": hmac.new(b"pepper", b"phone", hashlib.sha256).hexdigest(),
        "timestamp": "2026-11-22T10:00:00Z",
        "properties": {"book_id": "b01", "request_id": "r1"},
    }
    plain = [json.loads(line) for line in Selection(properties={"query"})(content).splitlines()]
    assert [(each["userId"], each["properties"]) for each in plain] == [("u01", {"query": "shame"}), ("u01", {})]


@pytest.mark.parametrize("address", ["jane%40example.com", "jane%2540example.com", "jane\uff20example.com", "a@b"])
def test_an_address_in_another_spelling_is_one_too(address: str) -> None:
    """All that the marts know of, and what only looks like one."""
    for line in (event("Book Viewed", "b01", user=address), event("Book Viewed", "b01", user="u01", key=address)):
        content = json.dumps(line).encode()
        assert Selection()(content) == b""
        assert address not in Selection(hash_key=b"k")(content).decode()


@pytest.mark.parametrize("kind", [{"type": "Track"}, {"type": "TRACK"}, {"type": None}, {}])
def test_what_the_gateway_takes_as_a_track_call_is_forwarded(kind: dict[str, Any]) -> None:
    given = {name: value for name, value in event("Book Viewed", "b01").items() if name != "type"}
    [line] = Selection()(json.dumps({**given, **kind}).encode()).splitlines()
    assert json.loads(line)["type"] == "track"


def test_an_id_that_is_an_address_goes_out_hashed_or_not_at_all() -> None:
    line = json.dumps(event("Book Viewed", "b01", user="a@example.com")).encode()
    assert Selection()(line) == b""
    assert b"@" not in Selection(hash_key=b"k")(line) != b""
    of_address = json.dumps(event("Book Viewed", "b01", user="u01", key="a@example.com-1")).encode()
    assert Selection()(of_address) == b""
    assert b"@" not in Selection(hash_key=b"k")(of_address) != b""


class PersonalizeService:
    """Checks requests as Personalize does; what it accepted, by event id."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.throttled = 0

    def __call__(self, request: Received) -> tuple[int, bytes, dict[str, str]]:
        content = request.content
        if self.throttled:
            self.throttled -= 1
            return 429, b'{"message":"slow"}', {"x-amzn-errortype": "ThrottlingException"}
        wrong = request.path != "/events" or content["trackingId"] != "t-1" or len(content["eventList"]) > 10
        if wrong or any(each.get("itemId") == "unknown?" for each in content["eventList"]):
            return 400, b'{"message":"wrong"}', {"x-amzn-errortype": "InvalidInputException"}
        self.requests.append(content)
        for each in content["eventList"]:
            self.events[each["eventId"]] = each | {"user": content.get("userId"), "session": content["sessionId"]}
        return 200, b"", {}


@pytest.fixture
def personalize(server: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PersonalizeService]:
    server.answer = service = PersonalizeService()
    monkeypatch.setenv("AWS_ENDPOINT_URL_PERSONALIZE_EVENTS", server.url)
    with made_up_credentials():
        yield service


def test_personalize_gets_events_of_one_reader_and_session_in_requests_of_at_most_ten(
    personalize: PersonalizeService, tmp_path: Path
) -> None:
    queue = queue_to(Personalize("t-1"), tmp_path, select=Selection())
    spool = spool_with(tmp_path, queue)
    views = [
        event("Book Viewed", f"b{n:02d}", user=f"u{n % 2}", device=f"d{n % 2}", key=f"m{n}", rating=4)
        for n in range(25)
    ]
    shown = event("Recommendations Viewed", "", user=None, device="d9", key="shown", items=[{"book_id": "b03"}] * 30)
    wrong = event("Book Viewed", "unknown?", user="u7", device="d7", key="wrong")
    nowhere = event("App Rated", "", key="nowhere")
    personalize.throttled = 1
    spool.append(*views, shown, wrong, nowhere)
    spool.hand_over()
    assert queue.flush()
    assert set(personalize.events) == {*ids_of(views), "shown"}
    assert [len(each["eventList"]) for each in personalize.requests] == [1, 10, 3, 10, 2]
    first = personalize.events["m1"]
    assert {name: first[name] for name in ("user", "session", "itemId", "eventType", "eventValue")} == {
        "user": "u1",
        "session": "d1",
        "itemId": "b01",
        "eventType": "Book Viewed",
        "eventValue": 4.0,
    }
    assert first["sentAt"] == dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC).timestamp()
    assert (personalize.events["shown"]["user"], personalize.events["shown"]["impression"]) == (None, ["b03"] * 25)
    (letters,) = queue.folder.glob("*.dead")
    reasons = [json.loads(line)["reason"] for line in letters.read_text().splitlines()]
    assert reasons[0] == "no book"
    assert "InvalidInputException" in reasons[1]


def test_one_wrong_event_keeps_no_other_of_its_session_from_personalize(
    personalize: PersonalizeService, tmp_path: Path
) -> None:
    """Nine views and a wrong one in the same request; ids as numbers, and lists of whatever an app wrote."""
    queue = queue_to(Personalize("t-1"), tmp_path, select=Selection())
    spool = spool_with(tmp_path, queue)
    views = [event("Book Viewed", f"b{n}", key=f"m{n}") for n in range(8)]
    wrong = event("Book Viewed", "unknown?", key="wrong")
    number = event("Book Viewed", "", key="number")
    number["properties"]["book_id"] = 42
    lists = [
        event("Book Viewed", "b9", key=f"list {at}", items=items)
        for at, items in enumerate(([{"book_id": ""}], [{"book_id": "b" * 300}, {"book_id": "b1"}], None, ["b1"], "b1"))
    ]
    spool.append(*views, wrong, number, *lists)
    spool.hand_over()
    assert queue.flush()
    assert set(personalize.events) == {*ids_of([*views, number, *lists])}
    assert personalize.events["number"]["itemId"] == "42"
    assert [personalize.events[f"list {at}"].get("impression") for at in range(5)] == [None, ["b1"], None, None, None]
    (letters,) = queue.folder.glob("*.dead")
    assert len(letters.read_text().splitlines()) == 1


class RefusingStream:
    """A client of Firehose or Kinesis with memory that refuses half of the records of each request at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.taken, self.tried = refusals, Counter[bytes](), Counter[bytes]()

    def _results(self, records: list[bytes]) -> list[dict[str, str]]:
        self.tried.update(records)
        refused = {data for at, data in enumerate(records) if at % 2 and self.refusals}
        self.refusals = max(0, self.refusals - 1)
        self.taken.update(data for data in records if data not in refused)
        code = "ProvisionedThroughputExceededException"
        return [{"ErrorCode": code} if data in refused else {"SequenceNumber": "1"} for data in records]

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return {"Records": self._results([each["Data"] for each in Records])}

    def put_record_batch(self, *, DeliveryStreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return {"RequestResponses": self._results([each["Data"] for each in Records])}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Firehose, Kinesis])
def test_only_refused_records_go_to_a_stream_again(kind: Any, tmp_path: Path) -> None:
    stream = RefusingStream(refusals=6)
    queue = queue_to(kind("events", client=stream), tmp_path)
    spool = spool_with(tmp_path, queue)
    spool.append(*numbered(1_100))
    spool.hand_over()
    while queue_state(queue.folder).waiting_events:
        assert queue.flush()
    assert set(stream.taken.values()) == {1}
    assert len(stream.taken) == 1_100
    assert max(stream.tried.values()) == 7
    assert all(record.endswith(b"\n") for record in stream.taken)


@pytest.mark.slow  # starts moto's server
def test_kinesis_and_firehose_of_a_real_protocol_get_every_event(tmp_path: Path) -> None:
    with made_up_credentials(), moto():
        boto3.client("s3").create_bucket(
            Bucket="landing", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        target = {"RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::landing"}
        boto3.client("firehose").create_delivery_stream(
            DeliveryStreamName="events", ExtendedS3DestinationConfiguration=target
        )
        kinesis = boto3.client("kinesis")
        kinesis.create_stream(StreamName="events", ShardCount=1)
        queues = [
            DeliveryQueue(kind.__name__, tmp_path / kind.__name__, in_batches(kind("events")))
            for kind in (Firehose, Kinesis)
        ]
        spool = spool_with(tmp_path, *queues)
        spool.append(*numbered(700))
        spool.hand_over()
        assert all(queue.flush() for queue in queues)
        shard = kinesis.get_shard_iterator(
            StreamName="events", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )
        records = kinesis.get_records(ShardIterator=shard["ShardIterator"])["Records"]
        assert ids_of([json.loads(each["Data"]) for each in records]) == ids_of(numbered(700))
        assert not any("u01" in each["PartitionKey"] for each in records)
        s3 = boto3.client("s3")
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket="landing")["Contents"]]
        landed = b"".join(s3.get_object(Bucket="landing", Key=key)["Body"].read() for key in keys)
        assert sorted(ids_of([json.loads(line) for line in landed.splitlines()])) == ids_of(numbered(700))


CRM = {
    "type": "webhook",
    "url": "https://crm.example.com/x",
    "secret_env": "HOOK_SECRET",  # pragma: allowlist secret
    "user_ids": "plain",
}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "must be a mapping from names to destinations"),
        ({"landing": CRM}, "landing is not a name of a destination"),
        ({"crm": {**CRM, "type": "fax"}}, "crm, input tag 'fax' found using 'type' does not match"),
        ({"crm": {**CRM, "url": "http://crm.example.com"}}, "crm, url: string should match pattern"),
        ({"crm": {**CRM, "url": "https://me:abc@crm.example.com/"}}, "crm, url: string should match pattern"),
        ({"crm": {**CRM, "secret": "abc"}}, "crm, secret: extra inputs are not permitted"),
        (
            {"crm": {**CRM, "secret_env": "RECSYS_X"}},  # pragma: allowlist secret
            "crm, secret_env: names that begin with RECSYS_ are settings",
        ),
        ({"crm": {**CRM, "user_ids": "hashed"}}, "crm, `hash_key_env` belongs to `user_ids: hashed`"),
        ({"crm": {name: value for name, value in CRM.items() if name != "user_ids"}}, "crm, user_ids: field required"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_by_a_sentence_without_secrets(content: Any, problem: str) -> None:
    with pytest.raises(DestinationsError) as error:
        parse_destinations(content, where="destinations.yaml")
    assert str(error.value).startswith("destinations.yaml")
    assert problem in str(error.value)
    assert "abc" not in str(error.value)


def test_each_kind_is_built_from_the_file_and_secrets_come_from_the_environment(tmp_path: Path) -> None:
    assert load_destinations(DEFAULTS / DESTINATIONS) == {}
    example = (DEFAULTS / DESTINATIONS).read_text().splitlines()[3:]
    file = tmp_path / DESTINATIONS
    file.write_text("\n".join(line.removeprefix("# ").removeprefix("#") for line in example))
    found = load_destinations(file)
    environment = {
        "CRM_WEBHOOK_SECRET": SECRET,
        "CRM_HASH_KEY": "k",
        "SEGMENT_WRITE_KEY": "wk",
        "PERSONALIZE_TRACKING_ID": "t",
    }
    with made_up_credentials():
        queues = queues_of(found, tmp_path, environment)
        assert [(queue.name, queue.keep_bytes) for queue in queues] == [
            ("crm", 512 * 2**20),
            *((name, 2**30) for name in ("analytics", "campaigns", "lake")),
        ]
        with pytest.raises(DestinationsError, match="crm needs the environment variable CRM_WEBHOOK_SECRET: set it"):
            queues_of(found, tmp_path, {})
        with pytest.raises(SettingsError, match="begins with whsec_ but goes on with something else than base64"):
            queues_of(found, tmp_path, environment | {"CRM_WEBHOOK_SECRET": "whsec_?"})  # pragma: allowlist secret


def test_the_command_lists_what_waits_and_replays_what_was_refused(
    server: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    folder = tmp_path / "serving" / "spool"
    folder.mkdir(parents=True)
    queue = queue_to(webhook(server.url, SECRET), folder)
    server.answer = refuse_events("m00001")
    spool = spool_with(folder, queue)
    spool.append(*numbered(2))
    spool.hand_over()
    queue.flush()
    server.answer = lambda request: (503, b"", {})
    spool.append(*numbered(3))
    spool.hand_over()
    queue.flush()
    run = CliRunner().invoke
    rows = [line.split() for line in run(app, ["destinations"]).output.splitlines() if "crm" in line]
    assert [word for word in rows[0] if word.isdigit() and len(word) == 1] == ["3", "1"]
    assert "it answered 503" in " ".join(rows[0])
    assert "1 events wait for crm again." in run(app, ["destinations", "replay", "crm"]).output
    assert queue_state(queue.folder).dead_events == 0
    assert "There is no destination cms" in str(run(app, ["destinations", "replay", "cms"]).exception)


def test_a_secret_of_a_webhook_is_in_no_log_and_no_file(
    server: RecordingServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server.answer = lambda request: (500, b"", {})
    receiver: BatchPost = webhook(f"{server.url}/token-in-address", SECRET)
    queue = queue_to(receiver, tmp_path)
    spool = spool_with(tmp_path, queue)
    spool.append(*numbered(1))
    spool.hand_over()
    queue.flush()
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "events will be delivered later" in caplog.text
    for text in (caplog.text, files.decode(errors="replace"), str(queue.trouble)):
        assert "token-in-address" not in text
        assert SECRET not in text
