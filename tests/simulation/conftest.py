"""One small simulated world that the tests of this folder read."""

import pytest

from tests.support.simulated import Simulated, run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return run(tmp_path_factory.mktemp("world"))
