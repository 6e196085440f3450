"""A small published world and gateways that serve it over HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys_platform.recommender.lists.list_rules import parse_list_rules
from tests.support.running_gateways import running_gateways
from tests.support.serving_world import Running, ServingWorld, make_world


@pytest.fixture(scope="module")
def serving_world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    """A world with a snapshot and the artifact of `item_knn`."""
    made = make_world(tmp_path_factory.mktemp("world"))
    made.publish(parse_list_rules({}))
    return made


@pytest.fixture
def run_gateway(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts gateways on a free port, with other parts if given; all are stopped after the test."""
    with running_gateways(tmp_path) as start:
        yield start
