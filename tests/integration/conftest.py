"""A small simulated world that has been run once, copied for every test that changes it."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys_platform.config.settings import PREFIX
from tests.support.commands import recsys
from tests.support.small_variants import write_small_variants

if TYPE_CHECKING:
    from tests.support.slack import Slack


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No setting of the person who runs the tests reaches them."""
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def finished_world(tmp_path_factory, worker_id) -> Path:
    """The home of a world on which `recsys demo` has run, once for all processes that share these tests."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    home = shared / "finished"
    with (shared / "finished.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("RECSYS_HOME", str(home))
        if not (shared / "finished.done").exists():
            shutil.rmtree(home, ignore_errors=True)  # what an attempt that failed left there
            write_small_variants(home)
            assert recsys("demo", "--readers", "150", "--books", "80", "--days", "4", patch=patch) == 0
            (shared / "finished.done").touch()
    return home


@pytest.fixture
def world(finished_world, tmp_path, monkeypatch) -> Path:
    """A copy of the finished world, named by RECSYS_HOME."""
    home = tmp_path / "world"
    shutil.copytree(finished_world, home)
    monkeypatch.setenv("RECSYS_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def trained_versions(tmp_path_factory) -> Path:
    """The home of a tiny world with training data and model versions, made once, without a run."""
    from tests.support.tiny_marts import write_trained_world

    home = tmp_path_factory.mktemp("trained") / "world"
    write_trained_world(home, "popularity", "lightfm", "als", "ease")
    return home


@pytest.fixture
def trained_world(trained_versions, tmp_path, monkeypatch) -> Path:
    """A copy of that world, named by RECSYS_HOME."""
    home = tmp_path / "world"
    shutil.copytree(trained_versions, home)
    monkeypatch.setenv("RECSYS_HOME", str(home))
    return home


@pytest.fixture
def run_recsys(monkeypatch, capsys):
    """Run a command; its exit code and what it printed, with line breaks folded."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = recsys(*arguments, patch=monkeypatch)
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return run


@pytest.fixture
def held() -> Callable[[Path], AbstractContextManager[None]]:
    """Lets another process write a warehouse: `with held(path):`."""
    return _held


@contextmanager
def _held(path: Path) -> Iterator[None]:
    hold = f"import duckdb, sys; con = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield
        assert other.stdin is not None
        other.stdin.close()


@pytest.fixture
def slack() -> Iterator["Slack"]:
    """A channel for alerts over HTTP."""
    from tests.support.slack import slack

    with slack() as made:
        yield made
