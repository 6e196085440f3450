"""The `DbtProject`: where it lies, and a manifest that is never older than the models."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from dagster_dbt import DbtCliResource, DbtProject
from packaging.version import Version

from recsys_platform.transform.dbt import PARSED, ROOT, is_older_than_the_project

DBT = Path(sys.executable).with_name("dbt")


@cache
def dbt_project(target: Path) -> DbtProject:
    """The project with its manifest in a target folder, parsed again when a file of it is newer than the manifest."""
    project = DbtProject(ROOT, target_path=target)
    if is_older_than_the_project(project.manifest_path):
        sys.stderr.write("Parsing the dbt project…\n")
        _parse(project.manifest_path.parent)
    return project


def _parse(target: Path) -> None:
    """Parse beside the target folder and move the result there: another process may do the same at this moment."""
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target) as draft:
        ours = {"DBT_TARGET_PATH": draft, "DBT_LOG_PATH": draft, "PYTHONWARNINGS": "ignore"}
        subprocess.run([str(DBT), "--quiet", "parse"], cwd=ROOT, check=True, env={**os.environ, **ours})
        for name in (PARSED, "manifest.json"):
            os.replace(Path(draft) / name, target / name)


class InstalledDbt(DbtCliResource):
    """dbt as installed beside us, without two costs of seconds on every run.

    Its version is read from the package instead of starting it just to ask, and it gets no adapter of its own in this process: we
    count rows ourselves, and a second connection to the DuckDB file would keep others from writing it.
    """

    @property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        """None is what the invocation works with where there is no adapter."""
