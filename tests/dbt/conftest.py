"""The project, parsed once, and worlds with empty raw tables."""

from collections.abc import Callable

import pytest
from dbt.contracts.graph.manifest import Manifest

from recsys_platform.transform.dbt import PARSED, cached_manifest, target_folder
from tests.support.dbt_world import World


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The project as it was parsed last, or parsed once for all tests of this process."""
    before = cached_manifest(target_folder(tmp_path_factory.getbasetemp()) / PARSED, "local")
    if before:
        return before
    result = World(tmp_path_factory.mktemp("parse"), None).dbt("parse")
    assert result.success, result.exception
    assert isinstance(result.result, Manifest)
    return result.result


@pytest.fixture(scope="session")
def new_world(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> Callable[[], World]:
    """Makes worlds with empty raw tables."""
    return lambda: World(tmp_path_factory.mktemp("world"), manifest).prepare()


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """A world with empty raw tables."""
    return new_world()
