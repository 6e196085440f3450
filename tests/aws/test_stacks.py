"""The stacks of infra/ on the server that stands for AWS, and a day of events on what they made, in the names of its roles."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from starlette.testclient import TestClient

from recsys_platform.catalog.discovery import find_tables
from recsys_platform.catalog.glue import GlueDatabase
from recsys_platform.common.clock import utc_now
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.serving.gateway.api import app_of
from recsys_platform.serving.gateway.server import gateway_of, key_store_of, landing_of
from recsys_platform.sources.firehose.emulator import DeliveryStream, FirehoseEmulator
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import recsys
from tests.support.servers import made_up_credentials, moto
from tests.support.small_variants import write_small_variants
from tests.support.stacks import (
    DEPLOYMENT,
    NAMES,
    Template,
    add_what_a_day_needs,
    deploy,
    of_type,
    put_secrets,
    role_variables,
    templates,
)

pytestmark = pytest.mark.slow  # synthesis alone takes 20 s of CPU where `make infra` did not run before


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    return templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(scope="module")
def built(given: dict[str, Template]) -> Iterator[dict[str, tuple[set[str], set[str]]]]:
    """The stacks in an account of their own: of each the resources that should be there, and those that are."""
    with made_up_credentials(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_ACCOUNT_ID", DEPLOYMENT.account)
        patch.setenv("AWS_DEFAULT_REGION", DEPLOYMENT.region)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        with moto():
            made = {name: (wanted, there) for name, wanted, there in deploy(given)}
            add_what_a_day_needs(given)
            put_secrets({"pii_salt": "a salt that only the secret knows, of many characters"})
            yield made
        boto3.DEFAULT_SESSION = None


def test_every_stack_is_built(built: dict[str, tuple[set[str], set[str]]]) -> None:
    for name, (wanted, there) in built.items():
        assert wanted <= there, name
    assert sum(len(there) for _, there in built.values()) > 150


@contextmanager
def process_of(role: str, home: Path) -> Iterator[Settings]:
    """The settings of a process that has assumed its role, as Parameter Store and its secret have them.

    Snowflake and MLflow are not there: warehouse and registry are files.
    """
    secret = NAMES.secret("gateway" if role == "gateway" else "platform")
    own = {"HOME": str(home), "PARAMETERS": NAMES.parameters, "SECRET": secret, "ENV": "local"}
    own["MLFLOW_URI"] = f"sqlite:///{home}/models/mlflow.db"
    with as_role(role), pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(f"RECSYS_{name}", value)
        yield load_settings(dict(os.environ))


def test_a_day_of_events_goes_from_the_gateway_through_stream_warehouse_and_marts_to_the_lists_it_answers_with(
    built: object,
    given: dict[str, Template],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "world"
    write_small_variants(home)
    monkeypatch.setenv("RECSYS_HOME", str(home))
    assert recsys("simulate", "--readers", "40", "--books", "30", "--days", "2", "--seed", "5", patch=monkeypatch) == 0
    written = int(capsys.readouterr().out.split()[0])  # lines of a file may hold several records
    simulated = events_of(home)
    with process_of("gateway", home) as settings:
        assert settings.event_stream == f"kinesis://{NAMES.of('events')}"
        landing_of(settings)(b"\n".join(simulated["segment"]), utc_now())
    received = in_stream()
    assert sorted(received) == sorted(simulated["segment"])
    deliver(given, simulated | {"segment": received})
    with process_of("code-server", home) as settings:
        days = asked_for(settings)
    assert len(days) > 0
    with process_of("run", home) as settings:
        hub, warehouse = hub_of(settings), DuckDBWarehouse(home / "warehouse.duckdb")
        load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
        done = GlueDatabase(str(settings.glue_database)).mirror(hub, find_tables(hub))
    assert done.tables_created == len(simulated)
    loaded = "select source, count(*) as events from raw.engagement_events group by all"
    rows = {each["source"]: each["events"] for each in warehouse.frame(loaded).to_pylist()}
    assert set(rows) == set(simulated)
    assert sum(rows.values()) == written
    with process_of("run", home):
        assert recsys("demo", patch=monkeypatch) == 0, capsys.readouterr()
    [reader] = warehouse.frame("select user_id from published.user_recommendations limit 1")["user_id"].to_pylist()
    with process_of("gateway", home) as settings:
        answer = answered(settings, f"/v1/users/{reader}/recommendations")
    assert answer["source"] == "live"
    new = [json.loads(each) for each in in_stream() if each not in received]
    shown = [each["properties"]["request_id"] for each in new if each["event"] == "Recommendations Viewed"]
    assert shown == [answer["request_id"]]


def answered(settings: Settings, path: str) -> Any:
    """What the gateway answers an app that has a key; it delivers its events when it stops."""
    key = key_store_of(settings).create("app")[1]
    gateway = gateway_of(settings)
    gateway.follower.refresh()
    with TestClient(app_of(gateway), headers={"authorization": f"Bearer {key}"}) as client:
        done = client.get(path)
    assert done.status_code == 200, done.text
    return done.json()


def events_of(home: Path) -> dict[str, list[bytes]]:
    """The simulated events by tracker, out of the folder that then goes, so that nothing comes from there."""
    hub = FolderHub(home / "hub")
    found: dict[str, list[bytes]] = {}
    for each in hub.objects("engagement_events/"):
        source = each.key.split("source=")[1].split("/")[0]
        data = hub.get(each.key)
        found.setdefault(source, []).extend((gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).splitlines())
    shutil.rmtree(home / "hub")
    return found


def in_stream() -> list[bytes]:
    """What Firehose reads from the stream, in the name of its role."""
    client = client_of("firehose", "kinesis")
    name, found = NAMES.of("events"), []
    for shard in client.list_shards(StreamName=name)["Shards"]:
        place: dict[str, Any] = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = client.get_shard_iterator(**place)["ShardIterator"]
        records = client.get_records(ShardIterator=iterator, StreamARN=NAMES.arn("kinesis", f"stream/{name}"))[
            "Records"
        ]
        found += [each["Data"].rstrip(b"\n") for each in records]
    return found


def client_of(role: str, service: str) -> Any:
    named = {"AWS_ACCESS_KEY_ID": "aws_access_key_id", "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key"}
    names = named | {"AWS_SESSION_TOKEN": "aws_session_token"}
    return boto3.client(service, **{names[name]: value for name, value in role_variables(role).items()})


def deliver(given: dict[str, Template], records: dict[str, list[bytes]]) -> None:
    """Deliver as the delivery streams of the template do."""
    streams = {}
    for each in of_type(given["hub"], "KinesisFirehose::DeliveryStream"):
        target = each["ExtendedS3DestinationConfiguration"]
        name = each["DeliveryStreamName"]
        streams[name.rpartition("-")[2]] = DeliveryStream(
            name,
            target["Prefix"],
            target["ErrorOutputPrefix"],
            gzip=target["CompressionFormat"] == "GZIP",
            newline=True,
        )
    with as_role("firehose"):
        firehose = FirehoseEmulator(S3Hub(NAMES.bucket("hub")), *streams.values())
        for source, lines in records.items():
            for start in range(0, len(lines), 500):
                batch = [{"Data": line} for line in lines[start : start + 500]]
                firehose.put_record_batch(DeliveryStreamName=streams[source].name, Records=batch)
        firehose.flush()


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """Let this process have a role."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in role_variables(role).items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield
    boto3.DEFAULT_SESSION = None


def asked_for(settings: Settings) -> set[str]:
    """The days whose load the code server's sensor asks for: first by a listing, then by what the queue tells."""
    built = build_defs(settings)
    sensor = next(each for each in built.sensors if each.name == "new_landing_objects")
    warehouse = DuckDBWarehouse(settings.home / "warehouse.duckdb")
    warehouse.prepare()
    parts = {"hub": hub_of(settings), "warehouse": warehouse}
    cursor, days = None, set()
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            with dg.build_sensor_context(
                repository_def=built.get_repository_def(), resources=parts, cursor=cursor, instance=instance
            ) as context:
                tick = sensor.evaluate_tick(context)
            cursor = tick.cursor
            days |= {str(each.partition_key) for each in tick.run_requests}
    return days
