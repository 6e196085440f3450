"""The commands that talk to other systems: Firehose, Athena, SageMaker; each through the command itself."""

import gzip
import json
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from recsys_platform.catalog.schema_history import record_tables
from recsys_platform.catalog.tables import LocalCatalog
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.model_host.folder import load_host_folder
from tests.support.commands import recsys as run_command
from tests.support.servers import free_port, running
from tests.support.serving_world import make_world

RunRecsys = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def recsys(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunRecsys:
    """Run a command in this process: exit code, output, and errors in one line."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command(*arguments, patch=monkeypatch)
        printed = capsys.readouterr()
        return code, printed.out, " ".join(printed.err.split())

    return run


# Firehose


@pytest.fixture
def emulator(home: Path) -> Iterator[str]:
    """The address of `recsys firehose serve`, which is asked to end after the test."""
    port = free_port()
    script = "from recsys_platform.cli.app import main; main()"
    command = [sys.executable, "-c", script, "firehose", "serve", "--port", str(port), "--buffer-seconds", "1"]
    address = f"http://127.0.0.1:{port}"
    with running(command, address):
        yield address


def test_events_of_a_file_sent_to_the_emulator_become_landing_objects(
    emulator: str, recsys: RunRecsys, home: Path, tmp_path: Path, view: Callable[..., dict[str, Any]]
) -> None:
    events = [json.dumps(view(f"m{number}")) for number in range(700)]
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join([*events, ""]).encode()))
    code, out, _ = recsys("firehose", "send", str(file), "--stream", "segment", "--emulator", emulator)
    assert (code, out) == (0, "700 records sent to the stream segment.\n")
    hub, until = FolderHub(home / "hub"), time.monotonic() + 30
    while not (found := hub.objects("engagement_events/")) and time.monotonic() < until:
        time.sleep(0.1)  # nothing else is sent: the interval alone delivers
    assert [json.loads(line) for item in found for line in gzip.decompress(hub.get(item.key)).splitlines()] == [
        json.loads(event) for event in events
    ]
    assert all(item.key.startswith("engagement_events/source=segment/") for item in found)


def test_what_is_buffered_when_the_emulator_is_ended_is_delivered(
    home: Path, recsys: RunRecsys, tmp_path: Path
) -> None:
    port = free_port()
    script = "from recsys_platform.cli.app import main; main()"
    command = [sys.executable, "-c", script, "firehose", "serve", "--port", str(port), "--buffer-seconds", "900"]
    (tmp_path / "events.jsonl").write_text('{"n": 1}\n')
    with running(command, f"http://127.0.0.1:{port}"):
        sent = recsys(
            "firehose",
            "send",
            str(tmp_path / "events.jsonl"),
            "--stream",
            "matomo",
            "--emulator",
            f"http://127.0.0.1:{port}",
        )
        assert sent[0] == 0
        assert FolderHub(home / "hub").objects("engagement_events/") == []
    until = time.monotonic() + 30
    while not (found := FolderHub(home / "hub").objects("engagement_events/")) and time.monotonic() < until:
        time.sleep(0.1)
    assert len(found) == 1


def test_what_cannot_be_sent_is_said_in_one_sentence(recsys: RunRecsys, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"n": 1}\n\n[2]\n')
    code, _, said = recsys("firehose", "send", str(file), "--stream", "segment")
    assert (code, said) == (1, f"error: Line 3 of {file} is not a JSON object: the file must have one on each line.")
    file.write_text('{"n": 1}\n')
    code, _, said = recsys("firehose", "send", str(file), "--stream", "segment", "--emulator", "nowhere")
    assert (code, said) == (1, "error: nowhere is not a valid URL: give one such as http://127.0.0.1:4573.")
    code, _, said = recsys("firehose", "send", str(tmp_path / "none"), "--stream", "segment")
    assert (code, "none cannot be read" in said) == (1, True)


# The catalog


@pytest.fixture
def recorded(bucket: str, home: Path, monkeypatch: pytest.MonkeyPatch, view: Callable[..., dict[str, Any]]) -> None:
    """A hub in S3 with events of two days, whose tables are in the catalog."""
    monkeypatch.setenv("RECSYS_HUB", f"s3://{bucket}/world")
    hub = S3Hub(bucket, "world")
    for day in (20, 21):
        hub.put(
            f"engagement_events/source=segment/2026/11/{day}/05/a.gz", gzip.compress(json.dumps(view("m")).encode())
        )
    record_tables(hub, LocalCatalog(hub))


@pytest.mark.usefixtures("recorded")
def test_the_tables_of_the_hub_are_listed_and_printed_as_ddl(recsys: RunRecsys, bucket: str) -> None:
    code, out, _ = recsys("catalog", "tables")
    assert code == 0
    [row] = [line.split() for line in out.splitlines() if "landing/" in line]
    name, plain = row[0], row[0].replace("/", "_")
    assert row[1:4] == ["json", "2", "2"]
    code, out, _ = recsys("catalog", "ddl", name, "--database", "books")
    create, add, rest = out.split(";\n\n")
    assert (code, rest) == (0, "")
    assert create.startswith(f"create external table if not exists `books`.`{plain}` (")
    assert f"location 's3://{bucket}/world/engagement_events/source=segment/'" in create
    assert add.count("partition (`dt` = ") == 2
    assert recsys("catalog", "ddl", plain, "--database", "books")[1] == out
    assert recsys("catalog", "ddl")[1] == out.replace("`books`", "`recsys`")


def test_a_table_that_is_not_there_or_not_in_s3_is_said_in_one_sentence(
    recsys: RunRecsys, home: Path, view: Callable[..., dict[str, Any]]
) -> None:
    code, _, said = recsys("catalog", "ddl")
    assert (code, said) == (1, "error: The catalog has no tables yet: `recsys run` finds and records them.")
    hub = FolderHub(home / "hub")
    hub.put("engagement_events/source=segment/2026/11/20/05/a.gz", gzip.compress(json.dumps(view("m")).encode()))
    record_tables(hub, LocalCatalog(hub))
    code, _, said = recsys("catalog", "ddl", "landing/none")
    assert (code, "There is no table landing/none in the catalog: there are landing/" in said) == (1, True)
    code, _, said = recsys("catalog", "ddl")
    assert (code, "Glue and Athena cannot read the hub" in said) == (1, True)


# SageMaker

IMAGE, ROLE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/recsys:1", "arn:aws:iam::123456789012:role/recsys-endpoint"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of a published world, and its versions by name; `item_knn` is in production."""
    folder = tmp_path_factory.mktemp("published")
    made = make_world(folder)
    made.publish(parse_list_rules({}))
    return folder, made.versions


@pytest.fixture
def versions(home: Path, published: tuple[Path, dict[str, str]]) -> list[str]:
    """Two versions of a world, the first of which is in production."""
    home.symlink_to(published[0])
    return [published[1][name] for name in ("item_knn", "ease")]


@pytest.fixture
def deploy(recsys: RunRecsys, bucket: str) -> Callable[..., tuple[int, str, str]]:
    where = ("--image", IMAGE, "--role-arn", ROLE, "--models", f"s3://{bucket}/models")
    return lambda *more: recsys("sagemaker", "deploy", *where, *more)


@pytest.mark.slow
def test_versions_are_deployed_get_their_share_of_traffic_and_lose_it_again(
    recsys: RunRecsys, deploy: Callable[..., tuple[int, str, str]], versions: list[str], bucket: str
) -> None:
    new = versions[1]
    code, out, _ = deploy("--challenger", new, "--env", "WORKERS=2", "--wait")
    assert (code, out) == (0, "The endpoint recsys is created.\nThe endpoint recsys is in service.\n")
    assert len(S3Hub(bucket, "models").folders("")) == 2
    [model] = [
        each["ModelName"]
        for each in boto3.client("sagemaker").list_models()["Models"]
        if f"-{new}-" in each["ModelName"]
    ]
    container = boto3.client("sagemaker").describe_model(ModelName=model)["PrimaryContainer"]
    assert (container["Image"], container["Environment"]) == (IMAGE, {"WORKERS": "2"})
    assert recsys("sagemaker", "traffic", ".1")[1] == "challenger gets 10% of the traffic of recsys.\n"
    assert recsys("sagemaker", "traffic", "0.1")[1] == "challenger already has 10% of the traffic of recsys.\n"
    assert recsys("sagemaker", "traffic")[1] == "challenger gets 25% of the traffic of recsys.\n"
    assert deploy("production", "--challenger", new, "--env", "WORKERS=2")[1] == "The endpoint recsys is unchanged.\n"
    lines = [line.split() for line in recsys("sagemaker", "status")[1].splitlines()]
    assert lines[0][:2] == ["recsys:", "InService,"]
    assert [line[:1] + line[2:] for line in lines[2:]] == [["champion", "0.75", "75%"], ["challenger", "0.25", "25%"]]
    assert recsys("sagemaker", "rollback")[1] == "challenger gets no more traffic of recsys.\n"
    assert recsys("sagemaker", "rollback")[1] == "challenger has no traffic of recsys.\n"


@pytest.mark.usefixtures("versions")
def test_a_version_is_packed_into_a_file(recsys: RunRecsys, tmp_path: Path) -> None:
    code, said, _ = recsys("sagemaker", "pack", "--to", str(tmp_path / "model.tar.gz"))
    assert (code, " holds item_knn-v" in said) == (0, True)
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "opt", filter="data")
    assert load_host_folder(tmp_path / "opt").artifact.variant == "item_knn"


@pytest.mark.usefixtures("versions")
def test_a_version_is_packed_into_s3_for_a_pipeline(recsys: RunRecsys, bucket: str) -> None:
    code, said, _ = recsys("sagemaker", "pack", "--upload", f"s3://{bucket}/models")
    assert (code, said.split()[-1].startswith(f"s3://{bucket}/models/item_knn")) == (0, True)
    assert recsys("sagemaker", "pack", "--upload", f"s3://{bucket}/models")[1] == said


@pytest.mark.usefixtures("versions")
def test_what_cannot_be_deployed_is_said_in_one_sentence(
    recsys: RunRecsys, deploy: Callable[..., tuple[int, str, str]]
) -> None:
    for arguments, sentence in (
        (("challenger",), "No version is challenger yet: `recsys promote VERSION --as challenger` makes one."),
        (("--env", "WORKERS"), "--env WORKERS is not of the form NAME=VALUE."),
        (("--models", "models"), "models is not a folder in S3: give s3://bucket/prefix."),
    ):
        assert deploy(*arguments)[::2] == (1, f"error: {sentence}")
    code, _, said = recsys("sagemaker", "status", "--endpoint", "none")
    assert (code, "Cannot describe the endpoint none of SageMaker: AWS answered" in said) == (1, True)
