"""The `DbtProject`, with a manifest that is always up to date."""

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

from recsys_platform.transform.dbt import PARSED, ROOT, is_stale

DBT = Path(sys.executable).with_name("dbt")


@cache
def dbt_project(target: Path) -> DbtProject:
    """The project with its manifest in a target folder, parsed again if one of its files is newer than the manifest."""
    project = DbtProject(ROOT, target_path=target)
    if is_stale(project.manifest_path):
        sys.stderr.write("Parsing the dbt project…\n")
        _parse_project(project.manifest_path.parent)
    return project


def _parse_project(target: Path) -> None:
    """Parse into a temporary folder and move the result into `target`: another process may do the same at this moment."""
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target) as draft:
        ours = {"DBT_TARGET_PATH": draft, "DBT_LOG_PATH": draft, "PYTHONWARNINGS": "ignore"}
        subprocess.run([str(DBT), "--quiet", "parse"], cwd=ROOT, check=True, env={**os.environ, **ours})
        for name in (PARSED, "manifest.json"):
            os.replace(Path(draft) / name, target / name)


class InstalledDbt(DbtCliResource):
    """The installed dbt, without two costs of seconds on every run.

    The version is read from the package metadata instead of starting dbt, and no adapter is loaded in this process: row counts are
    queried by us, and a second connection to the DuckDB file would block other writers.
    """

    @property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        """Do nothing: the invocation works without an adapter."""
