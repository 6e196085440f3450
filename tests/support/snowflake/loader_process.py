"""Loaders in processes of their own, each with an environment that it is given."""

import os
from collections.abc import Mapping
from multiprocessing.connection import Connection

import snowflake.connector  # noqa: F401  # imported for those that are forked, as is the engine

from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.warehouse.snowflake import engine  # noqa: F401
from tests.support.forked_loader import FORKS, Loader, load_when_told, start_forked

FORKS.set_forkserver_preload([__name__, "pytest"])  # a process imports what its parent was started with


def start_loader(variables: Mapping[str, str], chunk: int) -> Loader:
    """A loader that has listed its objects and waits for a line to begin."""
    return start_forked(_load, {**os.environ, **variables}, chunk)


def _load(variables: dict[str, str], chunk: int, lines: Connection, said: Connection) -> None:
    os.environ.update(variables)
    settings = load_settings()
    load_when_told(hub_of(settings), warehouse_of(settings), chunk, lines, said)
