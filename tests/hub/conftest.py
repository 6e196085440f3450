"""A real HTTP server for the length of a test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.rest_server import Served, server


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """`serve(answer, attempts=3)` starts a server for the length of the test."""
    with ExitStack() as stack:
        yield lambda answer, **patience: stack.enter_context(server(answer, **patience))
