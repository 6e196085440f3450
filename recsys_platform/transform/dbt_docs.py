"""Generate dbt docs in dbt's target folder, without unit tests, which would clutter the lineage graph."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys_platform.common.errors import RecsysError
from recsys_platform.transform.dbt import ROOT, target_folder

_PREFIX = "unit_test."


def main() -> None:
    """Generate the docs; exit with an error if that fails."""
    os.environ.setdefault("RECSYS_HOME", str(Path(".recsys").resolve()))  # dbt is started in the folder of its project
    try:
        generate_docs()
    except RecsysError as error:
        sys.exit(f"error: {error}")


def generate_docs(home: Path | None = None) -> Path:
    """Generate the docs and remove the unit tests; returns their folder. `home`: the world, by default RECSYS_HOME."""
    docs = target_folder(home) / "docs"
    dbt = Path(sys.executable).with_name("dbt")
    command = [str(dbt), "--quiet", "docs", "generate", "--target-path", str(docs)]
    # Neither the target nor the log stands in the project's folder: an installed package may be read-only.
    environment = {**os.environ, "DBT_LOG_PATH": str(docs), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=ROOT, env=environment)
    if done.returncode:
        raise RecsysError(f"dbt could not generate the docs (exit code {done.returncode}): its own words are above.")
    manifest = docs / "manifest.json"
    manifest.write_text(json.dumps(without_unit_tests(json.loads(manifest.read_text("utf-8")))), "utf-8")
    return docs


def without_unit_tests(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the manifest without unit tests and edges to them."""
    maps = {name: _without_unit_test_links(manifest[name]) for name in ("parent_map", "child_map")}
    return {**manifest, "unit_tests": {}, **maps}


def _without_unit_test_links(links: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {
        node: [other for other in others if not other.startswith(_PREFIX)]
        for node, others in links.items()
        if not node.startswith(_PREFIX)
    }


if __name__ == "__main__":
    main()
