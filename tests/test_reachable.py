"""No code without a door: every module is imported, also lazily, from a command, from Dagster's definitions or from an entry point."""

import ast
from collections.abc import Iterator
from pathlib import Path

import recsys_platform

HERE = Path(recsys_platform.__file__).parent
ENTRIES = {
    "recsys_platform.cli.app": "the command `recsys`",
    "recsys_platform.definitions": "what Dagster loads",
    "recsys_platform.notebook.simulated": "`simulated_experiment`, which notebooks call",
    "recsys_platform.notebook.world": "`open_world`, with which notebooks begin",
    "recsys_platform.pipeline": "`refresh`, which notebooks, scripts and other schedulers call",
    "recsys_platform.serving.gateway.aws_lambda": "the handler that AWS Lambda calls",
    "recsys_platform.transform.dbt": "the command `recsys-dbt`",
    "recsys_platform.transform.dbt_docs": "`make docs`",
}

WAITING: dict[str, str] = {}
"""Modules whose door is still to be built, with the door; as soon as one is reached it must leave this list."""


def name_of(path: Path) -> str:
    parts = path.relative_to(HERE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


LOADED_BY_DAGSTER = "recsys_platform.defs."
"""`load_from_defs_folder` imports every module of this folder, whatever imports it besides."""
MODULES = {name_of(path): path for path in HERE.rglob("*.py")}


def imported_modules(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, also inside functions; not those for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (name for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names)))
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def reachable_from(entries: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = set(entries)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {each for each in imported_modules(MODULES[name]) if each in MODULES} - found
    return found


def test_every_module_is_reached_from_a_command_or_from_dagster() -> None:
    packages = {name for name, path in MODULES.items() if path.stem == "__init__"}
    loaded = {name for name in MODULES if name.startswith(LOADED_BY_DAGSTER)}
    assert sorted(set(MODULES) - packages - reachable_from({*ENTRIES, *loaded})) == sorted(WAITING)
