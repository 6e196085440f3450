"""New objects are told by S3 through SQS: late, twice and out of order, and each is loaded once."""

import gzip
import json
import random
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.load_requests import Cursor
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.hub.sqs import LandingQueue, Message, created_keys
from recsys_platform.ingestion.arrivals import Arrivals, announced
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

DAYS = ("2026/11/19", "2026/11/20", "2026/11/21")


@pytest.fixture
def queue(bucket: str) -> Iterator[LandingQueue]:
    """A queue whose messages come again in five minutes if they are not deleted."""
    url = boto3.client("sqs").create_queue(QueueName="landing", Attributes={"VisibilityTimeout": "300"})["QueueUrl"]
    yield LandingQueue(url, "world")
    boto3.client("sqs").delete_queue(QueueUrl=url)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def key(number: int) -> str:
    return f"engagement_events/source=segment/{DAYS[number % 3]}/05/{number:04}.gz"


def put(hub: S3Hub, number: int) -> None:
    record = {"messageId": f"m{number}", "timestamp": "t", "userId": "u"}
    hub.put_new(key(number), gzip.compress(json.dumps(record).encode()))


def told(*keys: str) -> str:
    names = (urllib.parse.quote_plus(f"world/{each}") for each in keys)
    return json.dumps(
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": name}}} for name in names]}
    )


def send(queue: LandingQueue, bodies: list[str]) -> None:
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
        boto3.client("sqs").send_message_batch(QueueUrl=queue.url, Entries=entries)


def waiting(queue: LandingQueue) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    numbers = boto3.client("sqs").get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    return sum(int(number) for number in numbers.values())


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (told("a b/ü+1.gz"), ["world/a b/ü+1.gz"]),
        (json.dumps({"Type": "Notification", "Message": told("x")}), ["world/x"]),
        (json.dumps({"detail-type": "Object Created", "detail": {"object": {"key": "world/x y"}}}), ["world/x y"]),
        (json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}), []),
        (json.dumps({"Records": [{"eventName": "ObjectRemoved:Delete", "s3": {"object": {"key": "x"}}}]}), []),
        ("not json", []),
        ("[]", []),
    ],
)
def test_a_notification_names_its_objects_whichever_way_it_came(body: str, keys: list[str]) -> None:
    assert list(created_keys(body)) == keys


@pytest.mark.slow
def test_a_thousand_messages_with_repeats_and_in_no_order_load_every_object_once(
    queue: LandingQueue, s3_hub: S3Hub, tmp_path: Path
) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.prepare()
    chance = random.Random(4)
    for number in range(800):
        put(s3_hub, number)
    bodies = [told(key(number)) for number in [*range(800), *chance.sample(range(800), 200)]]
    chance.shuffle(bodies)
    send(queue, bodies)
    reports = []
    while messages := queue.receive(most=250, wait_seconds=1):
        found, _ = announced(s3_hub, warehouse, messages)
        reports.append(load_events(s3_hub, warehouse, found.new))
        assert announced(s3_hub, warehouse, messages) == (Arrivals(), messages)
        queue.delete(messages)
    assert waiting(queue) == 0
    assert sum(report.objects for report in reports) == 800
    loaded = "select count(*), count(distinct object_key), count(distinct record ->> '$.messageId') from raw.engagement_events"
    assert list(warehouse.frame(loaded).to_pylist()[0].values()) == [800, 800, 800]


def test_a_message_stays_until_its_object_is_loaded_and_only_its_day_is_listed(s3_hub: S3Hub, tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.prepare()
    for number in range(6):
        put(s3_hub, number)
    messages = [
        Message("of a load", (key(1),)),
        Message("of no load", ("curated/x.parquet",)),
        Message("of nothing", ()),
    ]
    found, settled = announced(s3_hub, warehouse, messages)
    assert [item.key for item in found.new] == [key(1), key(4)]
    assert [message.receipt for message in settled] == ["of no load", "of nothing"]
    load_events(s3_hub, warehouse, found.new)
    found, settled = announced(s3_hub, warehouse, messages)
    assert (found.new, settled) == ((), messages)


@pytest.mark.slow  # all definitions, and a queue that is waited for
def test_the_sensor_lists_once_and_then_listens(
    queue: LandingQueue, s3_hub: S3Hub, bucket: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    given = {"HOME": str(tmp_path), "HUB": f"s3://{bucket}/world", "LANDING_QUEUE": queue.url}
    built = build_defs(load_settings({f"RECSYS_{name}": value for name, value in given.items()}))
    sensor = next(item for item in built.sensors if item.name == "new_landing_objects")
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    warehouse.prepare()

    def tick(cursor: str | None) -> Any:
        parts = {"hub": S3Hub(bucket, "world"), "warehouse": warehouse}  # as the code server has it
        with dg.build_sensor_context(
            repository_def=built.get_repository_def(), resources=parts, cursor=cursor, instance=instance
        ) as context:
            return sensor.evaluate_tick(context)

    put(s3_hub, 0)
    first = tick(None)
    assert [request.partition_key for request in first.run_requests] == ["2026-11-19"]
    put(s3_hub, 1)
    put(s3_hub, 2)
    send(queue, [told(key(2))])
    second = tick(first.cursor)
    assert [request.partition_key for request in second.run_requests] == ["2026-11-21"]
    assert Cursor.parse(second.cursor).listed_at == Cursor.parse(first.cursor).listed_at
    assert waiting(queue) == 1
