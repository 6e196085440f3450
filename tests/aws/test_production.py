"""`infra/dagster.yaml` as it is: a real PostgreSQL, and S3 and ECS as the stand-in speaks them.

ECS starts no containers here: the test takes the command that a task was given and runs it, as the container would.
"""

import datetime as dt
import http.server
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import psycopg2
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.s3 import S3ComputeLogManager
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from infra.deployment import Deployment
from infra.names import Names
from recsys_platform.defs.automation.instances import upgrade_tables
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.sources.attributes import store_snapshot
from tests.support.aws_roles import acting_as, role_key
from tests.support.servers import free_port

NAMES = Names(Deployment())
CLUSTER, RUN, LOGS = NAMES.of("platform"), NAMES.of("run"), NAMES.bucket("logs")
ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "infra" / "dagster.yaml"
DAGSTER = Path(sys.executable).with_name("dagster")
DAY = dt.date(2026, 11, 20)
PASSWORD = "p@ss/word of:the tests"  # noqa: S105
MOST_OVERRIDES = 8192
Database = dict[str, str]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Database]:
    """A PostgreSQL that asks for its password on a unix socket; the variables that lead there.

    PostgreSQL refuses to run as root: then it is `nobody`, who can read a copy of the programs wherever they are installed.
    """
    nobody: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        base = Path(folder)
        programs, data = postgres_programs(base), str(base / "data")
        (base / "password").write_text(PASSWORD)
        for path in (base, base / "password") if nobody else ():
            shutil.chown(path, "nobody")
        options = ["-D", data, "-U", "dagster", "-A", "scram-sha-256", "-E", "utf8", "--no-locale", "--no-sync"]
        made = [programs / "initdb", *options, f"--pwfile={base / 'password'}"]
        subprocess.run(made, check=True, capture_output=True, cwd=base, **nobody)
        command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=base, **nobody) as server:
            try:
                until(lambda: is_ready(folder, server), seconds=30)
                yield variables(folder)
            finally:
                server.send_signal(signal.SIGINT)


def postgres_programs(copies: Path) -> Path:
    """The folder of `initdb` and `postgres`: a copy of those that pgserver brings, or the system's. Without either, skip."""
    if found := importlib.util.find_spec("pgserver"):
        package = Path(str(found.origin)).parent
        for name in ("pgserver/pginstall", "pgserver.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, copies / name)
        return copies / "pgserver" / "pginstall" / "bin"
    on_path = [Path(name) for name in [shutil.which("initdb")] if name]
    of_debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: float(file.parts[-3]))
    if not (installed := of_debian + on_path):
        pytest.skip("PostgreSQL is missing: install it, so that initdb is on the PATH or in /usr/lib/postgresql/*/bin.")
    return installed[-1].resolve().parent


def variables(folder: str) -> Database:
    """An empty host lets libpq take PGHOST, the folder of the socket."""
    names = {"HOST": "", "PORT": "5432", "DB": "postgres", "USER": "dagster", "PASSWORD": PASSWORD}
    return {"PGHOST": folder, **{f"DAGSTER_POSTGRES_{name}": value for name, value in names.items()}}


def is_ready(folder: str, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None
    with suppress(psycopg2.OperationalError):
        psycopg2.connect(host=folder, user="dagster", password=PASSWORD, dbname="postgres").close()
        return True
    return False


def until(what: Callable[[], Any], *, seconds: float) -> Any:
    """What a function gives once that is true; fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.2)
    return pytest.fail(f"Not within {seconds} seconds")


@pytest.fixture
def cluster(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster in which a daemon runs, which knows its own task as on ECS; the network of that task."""
    ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
    [subnet, *_] = ec2.describe_subnets()["Subnets"]
    [group, *_] = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])[
        "SecurityGroups"
    ]
    ecs.create_cluster(clusterName=CLUSTER)
    for family, container in (("daemon", "daemon"), (RUN, "run")):
        containers = [{"name": container, "image": "recsys", "memory": 512}]
        ecs.register_task_definition(family=family, networkMode="awsvpc", containerDefinitions=containers)
    network = {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"]], "securityGroups": [group["GroupId"]]}}
    where: Any = {"cluster": CLUSTER, "launchType": "FARGATE", "networkConfiguration": network}
    [daemon] = ecs.run_task(taskDefinition="daemon", **where)["tasks"]
    monkeypatch.setenv("DAGSTER_RUN_TASK_DEFINITION", RUN)
    boto3.client("s3").create_bucket(Bucket=LOGS, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    monkeypatch.setenv("DAGSTER_LOGS_BUCKET", LOGS)
    with metadata({"/": {"Name": "daemon"}, "/task": {"Cluster": CLUSTER, "TaskARN": daemon["taskArn"]}}) as address:
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", address)
        yield subnet["SubnetId"]


@contextmanager
def metadata(answers: dict[str, Any]) -> Iterator[str]:
    """The endpoint that tells a container on ECS of itself."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path or "/"]).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def instance(
    postgres: Database, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance of production, as the daemon has it."""
    for name, value in postgres.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(CONFIG, home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as made:
        with acting_as("daemon"):
            assert made.run_launcher
        yield made


def test_the_settings_are_what_dagster_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    told, _ = dagster_instance_config(str(CONFIG.parent))
    assert told["telemetry"] == {"enabled": False}
    assert told["run_monitoring"]["enabled"]
    assert told["concurrency"]["pools"]["default_limit"] == 1


def test_no_secret_stands_in_the_settings() -> None:
    connection = yaml.safe_load(CONFIG.read_text())["storage"]["postgres"]["postgres_db"]
    told = {name for name, value in connection.items() if not (isinstance(value, dict) and set(value) == {"env"})}
    assert told == {"scheme", "params"}


@pytest.mark.slow
def test_every_part_is_made_of_the_settings(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
    assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
    assert isinstance(instance.run_launcher, EcsRunLauncher)
    assert not instance.telemetry_enabled
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    queue = instance.get_concurrency_config().run_queue_config
    assert (queue.max_concurrent_runs, queue.max_user_code_failure_retries) == (6, 10)
    instance.event_log_storage.initialize_concurrency_limit_to_default("warehouse_writer")
    assert instance.event_log_storage.get_concurrency_info("warehouse_writer").slot_count == 1


@pytest.mark.slow
def test_tables_are_brought_up_to_date_and_those_of_a_newer_dagster_stay(instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing)
    assert upgrade_tables(instance)
    with psycopg2.connect(user="dagster", password=PASSWORD, dbname="postgres") as con, con.cursor() as cursor:
        cursor.execute("select version_num from alembic_version")
        [(known,)] = cursor.fetchall()
        cursor.execute("update alembic_version set version_num = 'ffffffffffff'")
        con.commit()
        assert not upgrade_tables(instance)
        assert instance.get_run_by_id(run.run_id) is not None
        cursor.execute("update alembic_version set version_num = %s", [known])


@pytest.mark.slow  # a PostgreSQL of its own
def test_a_dump_of_the_database_brings_runs_and_cursors_back(
    instance: dg.DagsterInstance, postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing)
    instance.daemon_cursor_storage.set_cursor_values({"a sensor": "where it was"})
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    programs, dump = postgres_programs(tmp_path), tmp_path / "dagster.dump"
    for name, *options in (
        ("pg_dump", "--format=custom", f"--file={dump}", "postgres"),
        ("createdb", "restored"),
        ("pg_restore", "--exit-on-error", "--dbname=restored", str(dump)),
    ):
        command = [programs / name, "--host", postgres["PGHOST"], "--username", "dagster", *options]
        subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("DAGSTER_POSTGRES_DB", "restored")
    with dg.DagsterInstance.get() as restored:
        assert restored.get_run_by_id(run.run_id) is not None
        assert restored.daemon_cursor_storage.get_cursor_values({"a sensor"}) == {"a sensor": "where it was"}
        assert upgrade_tables(restored)


def test_a_run_gets_a_task_in_the_daemons_network_and_is_stopped_with_it(
    instance: dg.DagsterInstance, cluster: str
) -> None:
    @dg.job
    def nothing() -> None: ...

    pointer = ModuleCodePointer("recsys_platform.definitions", "defs")
    origin = JobPythonOrigin("nothing", RepositoryPythonOrigin(sys.executable, pointer))
    run = instance.create_run_for_job(nothing, job_code_origin=origin)
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    task = task_of(instance, run.run_id)
    assert task["taskDefinitionArn"].endswith(f"task-definition/{RUN}:1")
    details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
    assert details["subnetId"] == cluster
    assert len(json.dumps(task["overrides"])) < MOST_OVERRIDES - 2000  # the rest is for longer paths and names
    assert PASSWORD not in json.dumps(task)
    launched = instance.get_run_by_id(run.run_id)
    assert instance.run_launcher.check_run_worker_health(launched).status == WorkerStatus.RUNNING
    with of_the_web_server() as web_server:  # somebody cancels it in the UI
        assert web_server.run_launcher.terminate(run.run_id)
    assert task_of(instance, run.run_id)["lastStatus"] == "STOPPED"


@contextmanager
def of_the_web_server() -> Iterator[dg.DagsterInstance]:
    """The same instance as the web server has it."""
    with acting_as("web-server"), dg.DagsterInstance.get() as made:
        yield made


def task_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """The task that a run was given, once it was."""
    arn = instance.get_run_by_id(run_id).tags.get("ecs/task_arn")
    return boto3.client("ecs").describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0] if arn else {}


@pytest.mark.slow
def test_a_queued_run_is_launched_executed_and_found_again(
    instance: dg.DagsterInstance, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code server, queue, daemon, launcher and run as in production, each a process of its own with a role of its own."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "world"))
    monkeypatch.setenv("RECSYS_HUB", f"s3://{bucket}/hub")
    land_attributes(bucket)
    run_id, port = str(uuid.uuid4()), str(free_port())
    server = ["--grpc-host", "127.0.0.1", "--grpc-port", port]
    tags = json.dumps({"dagster/partition": DAY.isoformat()})
    code_server = (DAGSTER, "code-server", "start", "-m", "recsys_platform.definitions", "-p", port)
    with running(*code_server, role="code-server"):
        until(lambda: answers(int(port)), seconds=90)
        with running(DAGSTER.with_name("dagster-daemon"), "run", *server, role="daemon"):
            launch = [DAGSTER, "job", "launch", *server, "-j", "fetch_attributes", "--tags", tags, "--run-id", run_id]
            subprocess.run(launch, check=True)
            task = until(lambda: task_of(instance, run_id), seconds=90)
    [container] = task["overrides"]["containerOverrides"]
    subprocess.run(container["command"], check=True, cwd=tmp_path, env=of_a_run())

    assert status_of(run_id) == "SUCCESS"
    assert instance.get_run_by_id(run_id).tags["dagster/partition"] == DAY.isoformat()
    loaded = instance.get_latest_materialization_event(dg.AssetKey(["raw", "book_attributes"]))
    assert loaded.run_id == run_id
    assert loaded.asset_materialization.metadata["accepted"].value == 3
    with of_the_web_server() as web_server:
        assert "raw__book_attributes" in logged(web_server, run_id)


def of_a_run() -> dict[str, str]:
    """The environment of a run's container: it has its role, `dagster` on its path, and need not know how runs are launched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_RUN_", "ECS_"))}
    return kept | role_key("run") | {"PATH": f"{DAGSTER.parent}{os.pathsep}{os.environ['PATH']}"}


def land_attributes(bucket: str) -> None:
    """Three books and two readers, as fetched on a day."""
    hub = S3Hub(bucket, "hub")
    store_snapshot(hub, "book_attributes", DAY, [{"book_id": f"b{number}"} for number in range(3)])
    store_snapshot(hub, "user_attributes", DAY, [{"user_id": f"u{number}"} for number in range(2)])


@contextmanager
def running(*command: str | Path, role: str) -> Iterator[None]:
    """A program with a role, for as long as the block runs."""
    with subprocess.Popen(command, env=os.environ | role_key(role)) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()  # Dagster ignores SIGTERM where SIGINT is ignored, as in the background of a shell


def answers(port: int) -> bool:
    """Whether somebody listens to a port of the loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def status_of(run_id: str) -> str:
    """A run's status by SQL, without Dagster."""
    with psycopg2.connect(user="dagster", password=PASSWORD, dbname="postgres") as con, con.cursor() as cursor:
        cursor.execute("select status from runs where run_id = %s", [run_id])
        [(status,)] = cursor.fetchall()
    return str(status)


def logged(instance: dg.DagsterInstance, run_id: str) -> str:
    """All that the steps of a run wrote, as the UI shows it."""
    manager = instance.compute_log_manager
    keys = manager.get_log_keys_for_log_key_prefix([run_id, "compute_logs"], ComputeIOType.STDERR)
    found = [manager.get_log_data(key) for key in keys]
    return "".join(each.decode() for log in found for each in (log.stdout, log.stderr) if each)
