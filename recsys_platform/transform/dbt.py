"""`recsys-dbt`: dbt with a cached manifest, so that the project is not parsed again for every warehouse.

dbt parses the project again whenever the profile names another file, which takes as long as building a small world. The manifest
is the same for every DuckDB file, so it is parsed once and passed to dbt. On Snowflake database names are part of the manifest, so
dbt parses as usual, once for each home.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.garbage import collect_garbage_rarely

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "dbt_project"
ROOT = _INSTALLED if _INSTALLED.exists() else _PACKAGE.parent / "dbt_project"
"""The dbt project: inside the package where that was installed from a wheel, else beside it in the checkout."""
OUR_DBT = Path(sys.executable).with_name("recsys-dbt")
PARSED = "partial_parse.msgpack"
"""The file of a target folder that holds what dbt parsed."""
_SOURCES = ("*.yml", "*.sql", "*.csv", "*.md")
_ADAPTERS = ("dbt-adapters", "dbt-duckdb")
"""Packages whose macros are part of the manifest."""


# "buildable": a run of some models runs their tests and those on what they read, not those on tables made from them later.
BUILD = [
    "build",
    "--exclude-resource-type",
    "unit_test",
    "--indirect-selection",
    "buildable",
    "--log-level-file",
    "info",
]

# Tests of tables that Python writes: the published ones do not exist yet and are checked when they do, the raw ones
# are guarded by their DDL and by the conservation check. `dbt test --select "source:*"` runs them all.
NOT_OURS = "source:published+ source:raw source:ops"


def build(target: Path, select: Sequence[str] = ()) -> None:
    """Build all models, or those that dbt selects by some selectors, and run their tests.

    dbt runs in a process of its own. Raises RecsysError with dbt's own words if something fails.

    `target`: the folder that dbt writes its artifacts to. The warehouse is the one that the environment names.
    """
    chosen = ("--select", *select) if select else ()
    command = [str(OUR_DBT), *BUILD, *chosen, "--exclude", *NOT_OURS.split()]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = " ".join((done.stdout + done.stderr).split())[-600:]
        raise RecsysError(f"dbt failed: {told} Fix what it names and build again; {target / 'dbt.log'} has all of it.")


def main() -> None:
    """Run dbt with the arguments of this process."""
    collect_garbage_rarely()
    from dbt.cli.main import cli

    parsed = target_folder() / PARSED
    manifest = None if "--vars" in sys.argv else cached_manifest(parsed, os.environ.get("RECSYS_ENV", "local"))
    cli(obj={"manifest": manifest} if manifest else None)


def target_folder(home: Path | None = None) -> Path:
    """The folder of dbt's artifacts that do not depend on a warehouse: manifest, parsed project, docs.

    A checkout has one folder for all worlds. An installed package may be read-only, so each world has its own, for each version of
    the package. Each environment but the local one has a folder in it: another engine has other macros, so models have other
    versions. `home`: the folder of the world, by default RECSYS_HOME.
    """
    env = os.environ.get("RECSYS_ENV", "local")
    return _folder_of_all_environments(home) / ("" if env == "local" else env)


def _folder_of_all_environments(home: Path | None) -> Path:
    if not _INSTALLED.exists():
        return ROOT / "target"
    home = home or Path(os.environ.get("RECSYS_HOME", ".recsys")).resolve()
    return home / "dbt" / f"project-{version('recsys-platform')}"


def cached_manifest(file: Path, env: str) -> "Manifest | None":
    """The manifest of the last parse, or None if it may be outdated."""
    if env != "local" or is_stale(file):
        return None
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder
    from dbt.version import __version__

    raw = file.read_bytes()
    try:
        found = extended_mashumuro_decoder(raw)  # type: ignore[no-untyped-call]
    except ValueError:  # dbt writes the file in place: it was stopped, or is still writing
        return None
    kind, version = (found["metadata"][name] for name in ("adapter_type", "dbt_version"))
    roots = {node["root_path"] for node in found["nodes"].values() if node["resource_type"] == "seed"}
    if (kind, version, roots) != ("duckdb", __version__, {str(ROOT)}):
        return None
    parsed: Manifest = Manifest.from_msgpack(raw, decoder=extended_mashumuro_decoder)
    # The `graph` variable of macros: it is not in the file, and dbt builds it only when it parses.
    parsed.build_flat_graph()  # type: ignore[no-untyped-call]
    return parsed


def is_stale(parsed: Path, sources: Sequence[str] = _SOURCES) -> bool:
    """Whether the project or an adapter package changed after the last parse, or it was never parsed.

    A removed or renamed file changes only its folder's modification time.
    """
    if not parsed.exists():
        return True
    files = (path for pattern in sources for path in ROOT.rglob(pattern))
    folders = (path for path in ROOT.rglob("*/") if path.is_dir())
    ours = (path for path in (*files, *folders) if not {"target", "logs"} & set(path.relative_to(ROOT).parts))
    return max(path.stat().st_mtime for path in (*ours, *_adapter_folders())) > parsed.stat().st_mtime


def _adapter_folders() -> list[Path]:
    """The `dist-info` folders of the adapters, created when they were installed."""
    found = (distribution(name) for name in _ADAPTERS)
    return [Path(str(each.locate_file(f"{each.name.replace('-', '_')}-{each.version}.dist-info"))) for each in found]
