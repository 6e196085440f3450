"""The packages follow the data, from the ground up: what stands higher knows what stands lower, never the other way round."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import recsys_platform

HERE = Path(recsys_platform.__file__).parent
LAYERS = (
    ("common",),
    ("hub", "transform"),
    ("warehouse", "simulation"),
    ("ingestion",),
    ("sources",),
    ("catalog", "recommender"),
    ("exports", "reports"),
    ("experiments",),
    ("config",),
    ("serving", "notifications", "monitoring"),
    ("pipeline", "notebook"),
    ("closed_loop",),
    ("defs",),
    ("definitions",),
    ("cli",),
)
RECOMMENDER = ("data", "models", "ranking", "evaluation", "registry", "training", "lists", "batch")
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """The modules of ours that a file imports, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "recsys_platform":
            for name in node.names:
                yield (*str(node.module).split(".")[1:], name.name)
        elif isinstance(node, ast.Import):
            yield from (
                tuple(each.name.split(".")[1:]) for each in node.names if each.name.startswith("recsys_platform.")
            )


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("room", HEIGHT)
def test_a_package_imports_only_what_stands_below_it(room: str) -> None:
    for path in files_of(HERE / room):
        above = {name[0] for name in imported(path) if name[0] != room and HEIGHT[name[0]] >= HEIGHT[room]}
        assert not above, f"{path.relative_to(HERE)} imports {sorted(above)}"


@pytest.mark.parametrize("folder", RECOMMENDER)
def test_a_folder_of_the_recommender_imports_only_those_before_it(folder: str) -> None:
    later = set(RECOMMENDER[RECOMMENDER.index(folder) + 1 :])
    for path in files_of(HERE / "recommender" / folder):
        after = {name[1] for name in imported(path) if name[0] == "recommender" and name[1] in later}
        assert not after, f"{path.relative_to(HERE)} imports {sorted(after)}"


def test_every_package_has_its_layer() -> None:
    assert {path.parent.name for path in HERE.glob("*/__init__.py")} == set(HEIGHT) - {"definitions", "pipeline"}
    assert {path.stem for path in HERE.glob("*.py")} == {"__init__", "definitions", "pipeline"}
    assert {path.parent.name for path in HERE.glob("recommender/*/__init__.py")} == set(RECOMMENDER)


def test_the_architecture_page_tells_the_same_layers() -> None:
    page = (HERE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    told = {name: int(line) for line, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == HEIGHT
    assert " → ".join(f"`{folder}`" for folder in RECOMMENDER) in page


def test_test_modules_import_no_test_modules() -> None:
    """What several of them share stands in tests/support."""
    imports = re.compile(r"^\s*(?:from|import) (tests\.\S*(?:test_\w+|conftest))", re.MULTILINE)
    tests = Path(__file__).parent
    found = {path.relative_to(tests): imports.findall(path.read_text()) for path in tests.rglob("*.py")}
    assert {str(path): names for path, names in found.items() if names} == {}
