"""The Dagster instance of a world, and the code location that runs of the command line belong to, so that the UI lists them."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from recsys_platform.config.settings import Settings

CODE_LOCATION, DEFINITIONS = "recsys_platform", "recsys_platform.definitions"
"""As `workspace.yaml` and `pyproject.toml` name them: the UI lists a run under the job of the code location that it belongs to."""
_REPOSITORY = RemoteRepositoryOrigin(
    ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=DEFINITIONS), CODE_LOCATION),
    "__repository__",
)
LOCATION_TAGS = {REPOSITORY_LABEL_TAG: _REPOSITORY.get_label()}
"""A run in process has no code location by itself, and the UI would leave it out of its overview and of the page of its job."""


@contextmanager
def instance_of(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The world's own Dagster instance, or the one of production."""
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        yield instance


def tell_code_location(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let a run, created with LOCATION_TAGS, belong to its job in the code location."""
    run = instance.get_run_by_id(run_id)
    if run and run.remote_job_origin is None:
        instance.run_storage.replace_job_origin(run, RemoteJobOrigin(_REPOSITORY, run.job_name))
