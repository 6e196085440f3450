"""The registry behind an MLflow server: what one process stores, another on another machine reads."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from tests.support.mlflow_server import mlflow_server

ARRAYS = {"vectors": np.arange(6, dtype=np.float32).reshape(2, 3)}
FACTS = Provenance(
    created_at=dt.datetime(2026, 11, 22),
    data_hash="abc",
    catalogue_hash="books",
    code_version="0.1",
    data_to=dt.datetime(2026, 11, 21),
    params={"epochs": 3},
    metrics={"ndcg": 0.25},
)
pytestmark = pytest.mark.slow  # MLflow's server is a process of its own, which takes seconds to start


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


def test_another_process_reads_what_one_has_stored(address: str, tmp_path: Path) -> None:
    """Only the server resolves where files are (`mlflow-artifacts:/…`)."""
    version = Registry(tmp_path / "run", address).log("lightfm", ARRAYS, FACTS)
    gateway = Registry(tmp_path / "gateway", address)
    assert gateway.info(version).variant == "lightfm"
    assert gateway.size_of(version) == 0  # a description fetches no files
    assert gateway.load(version).arrays["vectors"].tolist() == ARRAYS["vectors"].tolist()
    assert gateway.folder(version).is_dir()
    assert gateway.size_of(version) > 0
    gateway.set_alias(PRODUCTION, version, why="a trial")
    assert Registry(tmp_path / "run", address).version_of(PRODUCTION) == version
    gateway.set_alias(PRODUCTION, None, why="the end of the trial")
    gateway.remove(version)
    with pytest.raises(RegistryError, match="There is no model version"):
        gateway.info(version)
    assert list((gateway.root / "copies").iterdir()) == []


def test_processes_that_share_a_folder_fetch_a_version_at_the_same_time(address: str, tmp_path: Path) -> None:
    version = Registry(tmp_path / "run", address).log("als", ARRAYS, FACTS)
    readers = [Registry(tmp_path / "world", address) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: each.load(version).arrays["vectors"].tolist(), readers))
    assert found == [ARRAYS["vectors"].tolist()] * 4
    [copy] = (tmp_path / "world" / "copies").iterdir()  # and no half of one
    assert copy == readers[0].folder(version)
