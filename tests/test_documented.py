"""What the pages tell people to type exists, and so do the checks that they explain."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from recsys_platform.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[tuple[str, str]]:
    """Page and line of every command of ours in a block of code, or between backticks from its first word to its last."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", "").splitlines()
            found += [(page.name, line) for line in lines if line.startswith("recsys ")]
        found += [(page.name, line) for line in re.findall(r"`(recsys [a-z][^`\n]*)`", text)]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_documented_command_and_its_options_exist(page: str, line: str) -> None:
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "…"]
    command: Any = typer.main.get_command(app)
    if words[0].isupper():
        return  # `recsys COMMAND --help`
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_a_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tops = "recsys_platform|dbt_project|infra|benchmarks|tests|docs|examples|scripts|clients"
    paths = re.findall(rf"`((?:{tops})/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    files = re.findall(r"`(test_\w+\.py)`", text)
    assert [file for file in files if not any((ROOT / "tests").rglob(file))] == []


def test_the_tour_of_the_readme_begins_with_a_world_of_its_own_and_needs_no_file() -> None:
    block = next(b for b in re.findall(r"```sh\n(.*?)```", PAGES[0].read_text(), re.DOTALL) if "recsys models" in b)
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    assert lines[0].startswith("export RECSYS_HOME=")
    assert lines[1].startswith("recsys demo ")  # makes the world, and its snapshots, that all others work on
    assert not [line for line in lines if re.search(r"\.(csv|jsonl|parquet)\b|serve-attributes|\bdev\b", line)]


def test_operations_explains_checks_that_exist() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    named = {name for row in rows if re.search(r"\b(failed|warns?)\b", row) for name in re.findall(r"`([a-z_]+)`", row)}
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "recsys_platform" / "defs").rglob("*.py"))
    assert named
    assert {name for name in named if not re.search(rf"(def {name}\b|\"{name}\")", code)} == set()


def test_a_documented_materialization_names_an_asset_and_where_its_run_is_kept() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    graph = (ROOT / "tests" / "integration" / "asset_graph.txt").read_text()
    found = re.findall(r"`([^`]*)dagster asset materialize --select (\S+?)( [^`]*)?`", text)
    assert {asset for _, asset, _ in found} == {"training/tuning", "personalize/datasets"}
    for before, asset, after in found:
        assert f" {asset} <-" in graph
        # without them Dagster does not find the definitions, or forgets the run
        assert (before, after) == ("DAGSTER_HOME=$RECSYS_HOME/dagster ", " -m recsys_platform.definitions")
