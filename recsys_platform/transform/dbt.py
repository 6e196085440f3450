"""`recsys-dbt`: dbt as it is, on a project that need not be parsed anew for every warehouse.

dbt parses the project again, which takes as long as building a small world, whenever a profile names another file. What it finds
is the same for every DuckDB file, so what was found once is handed to it. On Snowflake, where names of databases are part of it,
dbt parses as ever, once for a home.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

ROOT = Path(__file__).parents[2] / "dbt_project"
PARSED = ROOT / "target" / "partial_parse.msgpack"
_SOURCES = ("*.yml", "*.sql", "*.csv", "*.md")
_ADAPTERS = ("dbt-adapters", "dbt-duckdb")
"""Their macros are part of what is parsed."""


def main() -> None:
    """Run dbt with the arguments of this process."""
    from dbt.cli.main import cli

    manifest = None if "--vars" in sys.argv else parsed_before(PARSED, os.environ.get("RECSYS_ENV", "local"))
    cli(obj={"manifest": manifest} if manifest else None)


def parsed_before(file: Path, env: str) -> "Manifest | None":
    """What dbt found when it parsed the project last, if it would find the same today."""
    if env != "local" or is_older_than_the_project(file):
        return None
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder
    from dbt.version import __version__

    raw = file.read_bytes()
    try:
        found = extended_mashumuro_decoder(raw)  # type: ignore[no-untyped-call]
    except ValueError:  # dbt was stopped, or is at it, and writes in place
        return None
    kind, version = (found["metadata"][name] for name in ("adapter_type", "dbt_version"))
    roots = {node["root_path"] for node in found["nodes"].values() if node["resource_type"] == "seed"}
    if (kind, version, roots) != ("duckdb", __version__, {str(ROOT)}):
        return None
    parsed: Manifest = Manifest.from_msgpack(raw, decoder=extended_mashumuro_decoder)
    # What macros see as `graph`: the file is without it, and dbt builds it only where it parses.
    parsed.build_flat_graph()  # type: ignore[no-untyped-call]
    return parsed


def is_older_than_the_project(parsed: Path, sources: Sequence[str] = _SOURCES) -> bool:
    """Whether the project, or what dbt itself brings along, changed after it was parsed, or it never was.

    A file that went or was renamed shows in its folder alone.
    """
    if not parsed.exists():
        return True
    files = (path for pattern in sources for path in ROOT.rglob(pattern))
    folders = (path for path in ROOT.rglob("*/") if path.is_dir())
    ours = (path for path in (*files, *folders) if not {"target", "logs"} & set(path.relative_to(ROOT).parts))
    return max(path.stat().st_mtime for path in (*ours, *_installed())) > parsed.stat().st_mtime


def _installed() -> list[Path]:
    """The folders that say which adapter is installed, made when it was."""
    found = (distribution(name) for name in _ADAPTERS)
    return [Path(str(each.locate_file(f"{each.name.replace('-', '_')}-{each.version}.dist-info"))) for each in found]
