"""Notebooks use the public interface alone, and its page names all of it."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import recsys_platform.notebook as interface

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
LIBRARIES = {"matplotlib", "numpy", "pandas"}
MODULES = {
    f"{interface.__name__}.{path.stem}": importlib.import_module(f"{interface.__name__}.{path.stem}")
    for path in Path(interface.__file__).parent.glob("[a-z]*.py")
}


def mistakes(code: str) -> Iterator[str]:
    """What a notebook uses that is not public."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.split(".")[0] not in LIBRARIES)
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] not in LIBRARIES:
            public = getattr(MODULES.get(str(node.module)), "__all__", [])
            yield from (f"{node.module}.{each.name}" for each in node.names if each.name not in public)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield node.attr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_what_is_public_and_nothing_else(notebook: Path) -> None:
    assert list(mistakes(notebook.read_text(encoding="utf-8"))) == []


def test_what_is_not_public_would_be_found() -> None:
    code = """
import os
from recsys_platform.notebook.world import open_world, VALUES
from recsys_platform.experiments.readouts import read_experiment
open_world()._warehouse
"""
    found = {"os", "recsys_platform.notebook.world.VALUES", "recsys_platform.experiments.readouts.read_experiment"}
    assert set(mistakes(code)) == found | {"_warehouse"}


def test_there_are_four_notebooks_each_with_a_title_and_text_before_its_code() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == ["1", "2", "3", "4"]
    for path in NOTEBOOKS:
        first, second = path.read_text(encoding="utf-8").split("# %%")[1:3]
        assert re.match(rf" \[markdown\]\n# # {path.stem[0]} · ", first)
        assert "open_world" in second


def public_names(module: ModuleType) -> Iterator[str]:
    """The functions and classes of a module that are public, and the methods of the latter."""
    for name in module.__all__:
        yield name
        value = getattr(module, name)
        if inspect.isclass(value):
            yield from (each for each in vars(value) if not each.startswith("_") and callable(getattr(value, each)))


def test_the_page_names_the_whole_public_interface() -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    names = {name for module in MODULES.values() for name in public_names(module)}
    assert "try_variant" in names
    assert sorted(name for name in names if not re.search(rf"`[^`]*\b{name}\b[^`]*`", page)) == []
