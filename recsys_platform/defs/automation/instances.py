"""The Dagster instance of a world, and the code location of runs from the command line, so that the UI lists them."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from alembic.util import CommandError
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from recsys_platform.config.settings import Settings

CODE_LOCATION, DEFINITIONS = "recsys_platform", "recsys_platform.definitions"
"""The names in `workspace.yaml` and `pyproject.toml`: the UI lists a run under the job of its code location."""
REPOSITORY = RemoteRepositoryOrigin(
    ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=DEFINITIONS), CODE_LOCATION),
    "__repository__",
)
LOCATION_TAGS = {REPOSITORY_LABEL_TAG: REPOSITORY.get_label()}
"""An in-process run has no code location by itself, and the UI would not list it in its overview or on the job's page."""


@contextmanager
def instance_of(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The world's own Dagster instance, or production's."""
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        yield instance


def upgrade_tables(instance: dg.DagsterInstance) -> bool:
    """Bring Dagster's tables up to the Dagster that is installed; False if they are those of a newer one, which older ones read."""
    try:
        instance.upgrade()
    except CommandError as error:
        if "Can't locate revision" not in str(error):
            raise
        return False
    return True


def set_code_location(instance: dg.DagsterInstance, run_id: str) -> None:
    """Assign a run, created with LOCATION_TAGS, to its job in the code location."""
    run = instance.get_run_by_id(run_id)
    if run and run.remote_job_origin is None:
        instance.run_storage.replace_job_origin(run, RemoteJobOrigin(REPOSITORY, run.job_name))
