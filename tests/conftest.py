"""What tests of several packages share: a hub and a warehouse in a temporary folder; AWS on the loopback."""

import datetime as dt
import gc
import gzip
import json
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from coverage import Coverage
from hypothesis import settings

from recsys_platform.common.garbage import collect_garbage_rarely
from recsys_platform.hub.layout import Source, landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import aws_calls
from tests.support.authorities import trust_one_authority
from tests.support.days import DAY
from tests.support.servers import made_up_credentials, moto

BUCKET = "recsys-hub"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-aws-calls", action="store_true", help="Keep what processes do on AWS in infra/aws_calls.json."
    )


def pytest_configure() -> None:
    collect_garbage_rarely()
    trust_one_authority()
    # A limit of time for an example would measure what else the machine does.
    settings.register_profile("without deadlines", deadline=None)
    settings.load_profile("without deadlines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, those before all that may take longest: the one that begins last would be waited for by all."""
    longest: dict[Path, float] = {}
    for item in items:
        longest[item.path] = max(longest.get(item.path, 0), seconds_allowed(item))
    items.sort(key=lambda item: -longest[item.path])


def pytest_collection_finish() -> None:
    """Let no search for garbage walk what was imported and collected, which stays; pytest searches everything as it ends."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of slow tests on Python 3.11: its tracer costs a fifth and more, `sys.monitoring` of later ones little."""
    measured = Coverage.current() if sys.version_info < (3, 12) and item.get_closest_marker("slow") else None
    if measured:
        measured.stop()
    try:
        return (yield)
    finally:
        if measured:
            measured.start()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take from a worker what its tests saw."""
    aws_calls.add(getattr(node, "workeroutput", {}).get("aws_calls", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hold what processes did on AWS equal to what is recorded, from which `python -m infra.rights` tells what is used."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["aws_calls"] = aws_calls.as_lists(aws_calls.SEEN)
        return
    is_whole = config.args_source == config.ArgsSource.TESTPATHS and not (
        config.option.markexpr or config.option.keyword
    )
    if config.option.record_aws_calls:
        aws_calls.write_record(is_whole=is_whole)
        return
    all_ran = is_whole and session.exitstatus == 0 and not _aws_skips(config)
    if found := aws_calls.differences(is_whole=all_ran):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        print("\nCalls of AWS changed, `pytest --record-aws-calls` records them:", *found, sep="\n")


def _aws_skips(config: pytest.Config) -> int:
    """How many tests of AWS were skipped, since something is not installed."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    return sum("tests/aws/" in report.nodeid for report in reporter.stats.get("skipped", ()))


def seconds_allowed(item: pytest.Item) -> float:
    """How long a slow test may take, 0 for others."""
    if not item.get_closest_marker("slow"):
        return 0
    limit = item.get_closest_marker("timeout")
    return float(limit.args[0] if limit else item.config.getini("timeout"))


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return FolderHub(tmp_path / "hub")


@pytest.fixture(scope="session")
def prepared_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a warehouse with its empty tables, made once: to make one takes a hundred times as long as to copy it."""
    made = DuckDBWarehouse(tmp_path_factory.mktemp("prepared") / "warehouse.duckdb")
    made.prepare()
    return made.path


@pytest.fixture
def warehouse(prepared_warehouse: Path, tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(Path(shutil.copy(prepared_warehouse, tmp_path)))


@pytest.fixture
def land(hub: Hub) -> Callable[..., str]:
    """Put an object into the hub: `land("a.gz", b"…")` or records."""

    def put(
        name: str,
        *records: dict[str, Any] | bytes,
        source: Source = "segment",
        hour: int = 5,
        day: dt.date = DAY,
        packed: bool = True,
    ) -> str:
        plain = b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in records)
        key = landing_key(source, dt.datetime.combine(day, dt.time(hour)), name)
        hub.put(key, gzip.compress(plain) if packed else plain)
        return key

    return put


@pytest.fixture
def view() -> Callable[..., dict[str, Any]]:
    """A segment record of a reader who looks at a book."""

    def record(message: str, user: str = "u1", book: str = "b1", **more: Any) -> dict[str, Any]:
        time = f"{DAY}T05:00:00.000Z"
        base = {"type": "track", "event": "Book Viewed", "messageId": message, "userId": user, "timestamp": time}
        return base | {"properties": {"book_id": book}} | more

    return record


@pytest.fixture(scope="session")
def empty_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a registry that knows no version, made once: MLflow takes two seconds for its tables."""
    root = tmp_path_factory.mktemp("empty") / "models"
    assert Registry(root).history() == []
    return root


@pytest.fixture(scope="session")
def new_registry(empty_models: Path) -> Callable[[Path], Registry]:
    """Makes registries of their own."""
    return lambda root: Registry(Path(shutil.copytree(empty_models, root)))


@pytest.fixture(scope="session")
def credentials() -> Iterator[None]:
    """Made-up credentials for every client of this process and of those it starts."""
    with made_up_credentials():
        yield


@pytest.fixture(scope="session")
def aws(credentials: None) -> Iterator[str]:
    """The address of a server that stands for S3, SQS, Glue, SSM and more."""
    with moto() as address:
        yield address


@pytest.fixture
def bucket(aws: str) -> Iterator[str]:
    """An empty bucket; everything that the server remembers is forgotten after the test."""
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield BUCKET
    httpx.post(f"{aws}/moto-api/reset")
