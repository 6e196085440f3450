"""Build the images on a base made of Debian's packages, start every process from them as their own user, and ask each for an answer.

No image registry is asked. It needs root, debootstrap and buildah, Debian's packages and PyPI, and five minutes on two cores.

Usage: image_check.py [--folder FOLDER [--processes]]
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from image_build import Engine, build

from infra.processes import (
    DAGSTER_HOME,
    HEALTH_CHECKS,
    IMAGES,
    MLFLOW_MIGRATION,
    USER_ID,
    WORLD,
    dagster_command,
    mlflow_options,
)

SUITE = "trixie"
"""The release of Debian that stands for the base: its Python is 3.13."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TAG = "check"
SECONDS = 900
"""Longest time in which a process must answer; a busy machine is several times slower than an idle one."""
DATABASE_PORT = 54321
PASSWORD = "made-up"  # noqa: S105  # pragma: allowlist secret
SMALL = ("--readers", "60", "--books", "40", "--days", "5", "--seed", "1")
MODEL = "/opt/ml/model"
AWS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "eu-west-1"}
AWS |= {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
NOT_THERE = ("pip", "uv", "gcc", "cc", "make", "git")
Environment = Mapping[str, str]


def lacking() -> list[str]:
    """What this machine lacks for the check, one clause each."""
    found = [f"{name} is not installed" for name in ("buildah", "debootstrap") if not shutil.which(name)]
    return found if os.geteuid() == 0 else [*found, "this is not root"]


@dataclass(frozen=True)
class Builder:
    """buildah with a store of its own below a folder; nothing outside of that is changed."""

    folder: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Where it keeps layers. Layers on overlayfs hold what changed; as whole copies (vfs) they would be five times as much."""
        return ("--root", f"{self.folder}/store", "--runroot", f"{self.folder}/run", "--storage-driver", "overlay")

    @property
    def engine(self) -> Engine:
        """The builder of image_build.py, without namespaces and without a registry."""
        return Engine("buildah", self.options, ("--isolation", "chroot", "--pull-never"))

    def __call__(self, *arguments: str | Path) -> str:
        """What a command of buildah prints; RuntimeError with its words if it fails."""
        command = ["buildah", *self.options, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout.strip()

    def release(self) -> None:
        """Remove all containers and unmount the store, so that its folder can be deleted."""
        self("rm", "--all")
        unmount = [shutil.which("umount") or "umount", self.folder / "store" / "overlay"]
        subprocess.run(unmount, check=False, capture_output=True)

    def make_base(self) -> str:
        """A minimal Debian with Python as `python`, as the base on a registry is; the image's name."""
        root, packages = self.folder / "base", "python3,python3-venv,ca-certificates"
        made = ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(root)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        for file in (*root.glob("var/cache/apt/**/*.*"), *root.glob("var/lib/apt/lists/*_*")):
            file.unlink()
        container = self("from", "scratch")
        self("add", container, root, "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self("config", "--env", path, *self._trust(container), "--cmd", "python", container)
        self("commit", "--rm", container, "recsys-base")
        shutil.rmtree(root)
        return "localhost/recsys-base"

    def _trust(self, container: str) -> list[str]:
        """Options of the base by which it trusts the authorities that this machine was told to trust."""
        if not (file := os.environ.get("SSL_CERT_FILE")):
            return []
        self("copy", container, file, CERTIFICATES)
        return ["--env", f"SSL_CERT_FILE={CERTIFICATES}"]


@dataclass
class Container:
    """A container of an image: what it is configured to run, and commands in it. Its network is this machine's."""

    builder: Builder
    image: str
    environment: Environment = field(default_factory=dict)
    volumes: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the container."""
        self.name = self.builder("from", "--pull-never", self.image)
        self.config = json.loads(self.builder("inspect", "--type", "image", self.image))["Docker"]["config"]

    def command(self, *arguments: str) -> list[str]:
        """The command that a container engine starts, with the arguments that stand in place of its CMD."""
        return [*(self.config.get("Entrypoint") or []), *(arguments or self.config.get("Cmd") or [])]

    def _running(self, command: Sequence[str], user: str = "") -> list[str]:
        given = [f"--env={name}={value}" for name, value in self.environment.items()]
        given += [f"--volume={folder}:{path}" for path, folder in self.volumes.items()]
        given += [f"--user={user}"] if user else []
        return ["run", "--isolation", "chroot", *given, self.name, "--", *command]

    def run(self, *command: str, user: str = "") -> str:
        """What a command prints. `user`: instead of the image's own."""
        return self.builder(*self._running(command, user))

    def succeeds(self, *command: str) -> bool:
        """Whether a command ends with 0."""
        try:
            self.run(*command)
        except RuntimeError:
            return False
        return True

    @contextmanager
    def started(self, *command: str, user: str = "") -> Iterator["Process"]:
        """A process of the container, ended whatever happens."""
        started = ["buildah", *self.builder.options, *self._running(command, user)]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                started, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield Process(self, process, log)
            finally:
                _end(process)


@dataclass
class Process:
    """A process in a container that is waited for."""

    container: Container
    process: subprocess.Popen[bytes]
    log: Any

    def until(self, what: Callable[[], Any], about: str) -> Any:
        """What a function gives once that is true; RuntimeError with the process's words if it ends or takes too long."""
        started = time.monotonic()
        while self.process.poll() is None and time.monotonic() < started + SECONDS:
            if found := what():
                print(f"  {about}: after {time.monotonic() - started:.0f} s", flush=True)
                return found
            time.sleep(1)
        self.log.seek(0)
        raise RuntimeError(f"{self.container.image}: {about}: not seen. {self.log.read().decode()[-3000:]}")

    def until_healthy(self, command: Sequence[str]) -> None:
        """Wait for a health check to succeed."""
        self.until(lambda: self.container.succeeds(*command), f"{' '.join(command)[:60]} succeeds")


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(address: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """The JSON, or text, that an address answers; None while it does not."""
    data = json.dumps(body).encode() if body is not None else None
    given = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(address, data, given)  # noqa: S310  # an address of this machine
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            text = answer.read().decode()
    except OSError:
        return None
    return json.loads(text) if text[:1] in "{[" else text or "empty"


def check_contents(container: Container) -> None:
    """Raise RuntimeError if an image runs as root, holds what installs or compiles, or does not say what it holds."""
    told = container.run(
        "sh", "-c", f"id -u; for each in {' '.join(NOT_THERE)}; do command -v $each; done; true"
    ).split()
    if told != [str(USER_ID)]:
        raise RuntimeError(f"{container.image} runs as {told[0]} and holds {told[1:]}.")
    labels = container.config["Labels"]
    if missing := {f"org.opencontainers.image.{each}" for each in ("version", "revision", "source")} - set(labels):
        raise RuntimeError(f"{container.image} lacks the labels {sorted(missing)}.")
    listed = json.loads(container.run("sh", "-c", "cat /opt/*/sbom.cdx.json"))["components"]
    size = container.run("du", "-sm", "--exclude=/proc", "--exclude=/sys", "--exclude=/dev", "-x", "/", user="root")
    print(f"{container.image}: {size.split()[0]} MB, {len(listed)} packages", flush=True)


def make_world(builder: Builder, world: Path) -> str:
    """Make a small world as a run does: simulate, run everything, pack its model; the text of an API key."""
    os.chown(world, USER_ID, USER_ID)
    run = Container(builder, f"localhost/recsys-dagster:{TAG}", {"RECSYS_HOME": WORLD}, {WORLD: world})
    started = time.monotonic()
    run.run("recsys", "demo", *SMALL)
    run.run("recsys", "sagemaker", "pack", "--to", f"{WORLD}/model.tar.gz")
    print(f"world: simulated, run and packed by the image of Dagster, {time.monotonic() - started:.0f} s", flush=True)
    return run.run("recsys", "keys", "create", "check", "--role", "admin").split()[-1]


def check_gateway(builder: Builder, world: Path, key: str) -> None:
    """The gateway recommends books of a mounted world."""
    gateway = Container(builder, f"localhost/recsys-gateway:{TAG}", {}, {WORLD: world})
    with gateway.started(*gateway.command()) as process:
        process.until_healthy(_health_of(gateway))
        headers = {"Authorization": f"Bearer {key}"}
        address = "http://127.0.0.1:8000/v1/users/u0000007/recommendations?k=3"
        found = process.until(lambda: ask(address, headers=headers), "recommends")
        print(f"  {json.dumps(found)[:160]}")
        process.until(lambda: ask("http://127.0.0.1:9100/metrics"), "tells metrics at a port of their own")


def check_model_host(builder: Builder, world: Path) -> None:
    """The model host answers with an archive as SageMaker unpacks it."""
    model = world / "model"
    with tarfile.open(world / "model.tar.gz") as archive:
        archive.extractall(model, filter="data")
    host = Container(builder, f"localhost/recsys-model-host:{TAG}", {}, {MODEL: model})
    with host.started(*host.command()) as process:
        process.until_healthy(_health_of(host))
        body = {"history": [], "language": "en", "tier": "free", "k": 3, "seed": 7}
        found = process.until(lambda: ask("http://127.0.0.1:8080/invocations", body), "recommends")
        print(f"  {json.dumps(found)[:160]}")


def _health_of(container: Container) -> list[str]:
    return list(container.config["Healthcheck"]["Test"][1:])


def check_mlflow(builder: Builder, database: Environment) -> None:
    """MLflow's migration makes its tables in an empty PostgreSQL, over TLS, and its server an experiment in them."""
    given = {**AWS, **database, "PGDATABASE": "mlflow"}
    mlflow = Container(builder, f"localhost/recsys-mlflow:{TAG}", given)
    mlflow.run(*MLFLOW_MIGRATION)
    with mlflow.started("mlflow", "server", *mlflow_options("s3://models/mlflow")) as process:
        process.until_healthy(_health_of(mlflow))
        address = "http://127.0.0.1:5000/api/2.0/mlflow/experiments/create"
        process.until(lambda: ask(address, {"name": f"check {time.time()}"}), "makes an experiment")


def check_dagster(builder: Builder, world: Path, environment: Environment) -> None:
    """Code server, web server and daemon, with the settings and the database of production."""
    image = f"localhost/recsys-dagster:{TAG}"
    code = Container(builder, image, {**environment, "RECSYS_HOME": WORLD}, {WORLD: world})
    others = Container(builder, image, environment)
    with ExitStack() as running:
        server = running.enter_context(code.started(*code.command()))
        server.until_healthy(_health_of(code))
        web = running.enter_context(others.started(*dagster_command("web-server", "127.0.0.1")))
        web.until(lambda: ask("http://127.0.0.1:3000/server_info"), "the web server answers")
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name assetNodes { id } } } } }"
        found = web.until(lambda: ask("http://127.0.0.1:3000/graphql", {"query": query}), "it lists assets")
        [repository] = found["data"]["repositoriesOrError"]["nodes"]
        print(f"  {repository['name']}: {len(repository['assetNodes'])} assets")
        daemon = running.enter_context(others.started(*dagster_command("daemon", "127.0.0.1")))
        daemon.until_healthy(HEALTH_CHECKS["daemon"].command)
        started = time.monotonic()
        others.run(*HEALTH_CHECKS["daemon"].command)
        code.run(*HEALTH_CHECKS["code-server"].command)
        print(f"  both health checks once more: {time.monotonic() - started:.0f} s")


@contextmanager
def database_server(builder: Builder) -> Iterator[Environment]:
    """Debian's PostgreSQL, which speaks TLS, with the databases of Dagster and MLflow; libpq's variables that lead there."""
    container = Container(builder, "localhost/recsys-base")
    install = "apt-get update -qq && apt-get install -qq --yes --no-install-recommends postgresql && pg_lsclusters -h"
    version = container.run("sh", "-c", install, user="root").splitlines()[-1].split()[0]
    settings = f"config_file=/etc/postgresql/{version}/main/postgresql.conf"
    command = [f"/usr/lib/postgresql/{version}/bin/postgres", "-c", settings, "-p", str(DATABASE_PORT)]
    with container.started(*command, user="postgres") as process:
        role = f"create role recsys login password '{PASSWORD}'"
        process.until(lambda: _psql(container, role), "the database answers")
        for name in ("dagster", "mlflow"):
            _psql(container, f"create database {name} owner recsys")
        yield {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(DATABASE_PORT),
            "PGUSER": "recsys",
            "PGPASSWORD": PASSWORD,
            "PGSSLMODE": "require",
        }


def _psql(container: Container, statement: str) -> bool:
    try:
        container.run("psql", "-p", str(DATABASE_PORT), "-c", statement, user="postgres")
    except RuntimeError:
        return False
    return True


@contextmanager
def aws() -> Iterator[Environment]:
    """A server that stands for AWS, with the task definition of runs; variables by which Dagster finds both."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {name.lower(): value for name, value in AWS.items() if name.startswith("AWS_") and "KEY" in name}
    ecs = boto3.client("ecs", endpoint_url=address, region_name=AWS["AWS_REGION"], **keys)
    containers = [{"name": "run", "image": "recsys", "memory": 512}]
    ecs.register_task_definition(family="run", networkMode="awsvpc", containerDefinitions=containers)
    try:
        yield {**AWS, "AWS_ENDPOINT_URL": address, "DAGSTER_LOGS_BUCKET": "logs", "DAGSTER_RUN_TASK_DEFINITION": "run"}
    finally:
        server.stop()


def dagster_environment(database: Environment, aws_variables: Environment) -> Environment:
    """What infra/dagster.yaml reads."""
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}  # pragma: allowlist secret
    given = {f"DAGSTER_POSTGRES_{name}": database[variable] for name, variable in names.items()}
    return {**aws_variables, **given, "DAGSTER_POSTGRES_DB": "dagster", "DAGSTER_HOME": DAGSTER_HOME}


def check(builder: Builder) -> None:
    """Build all images and check all processes."""
    started = time.monotonic()
    base = builder.make_base()
    print(f"base of Debian {SUITE}: {time.monotonic() - started:.0f} s", flush=True)
    build(builder.engine, IMAGES, TAG, base=base)
    print(f"images built: {time.monotonic() - started:.0f} s", flush=True)
    for name in IMAGES:
        check_contents(Container(builder, f"localhost/recsys-{name}:{TAG}"))
    check_processes(builder)
    print(f"every process answers: {time.monotonic() - started:.0f} s in all", flush=True)


def check_processes(builder: Builder) -> None:
    """Start every process from its image and ask it."""
    world = Path(tempfile.mkdtemp(prefix="world-", dir=builder.folder))
    key = make_world(builder, world)
    check_gateway(builder, world, key)
    check_model_host(builder, world)
    with database_server(builder) as database, aws() as variables:
        check_mlflow(builder, database)
        check_dagster(builder, world, dagster_environment(database, variables))


def main() -> None:
    """Check in a folder that is deleted afterwards, or in the one that is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="an empty folder that is kept; a temporary one by default")
    parser.add_argument("--processes", action="store_true", help="only start processes, from the images of --folder")
    given = parser.parse_args()
    if lacks := lacking():
        sys.exit(f"error: the images cannot be checked here: {' and '.join(lacks)}.")
    if given.folder:
        (check_processes if given.processes else check)(Builder(given.folder.resolve()))
        return
    with tempfile.TemporaryDirectory(prefix="recsys-images-") as folder:
        builder = Builder(Path(folder))
        try:
            check(builder)
        finally:
            builder.release()


if __name__ == "__main__":
    main()
