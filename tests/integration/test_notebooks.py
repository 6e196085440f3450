"""The four notebooks, cell by cell in a kernel, on a finished world that another process is writing meanwhile.

A finished world, because they look at marts, evaluations and published lists together.
"""

import os
import re
import runpy
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from recsys_platform.hub.local import FolderHub
from tests.support.commands import recsys

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
SAID = {
    "1_look_at_the_data": ["are events in the marts", "of all likes"],
    "2_add_a_variant": ["rare_neighbours does not go live", "weighting: bm25"],
    "3_read_an_experiment": ["simulated: ship", "\ninvalid\n", "Stop treatment"],
    "4_off_policy": [
        "There are no exposures yet",
        "The lists of by_interest would be clicked more often than those of live",
    ],
}
PLOTS = {"1_look_at_the_data": 2, "2_add_a_variant": 2, "3_read_an_experiment": 2, "4_off_policy": 1}


def executed(notebook: Path, folder: Path, home: Path) -> nbformat.NotebookNode:
    """The notebook with what its cells gave; raises what a cell raises."""
    read = jupytext.read(notebook)
    environment = os.environ | {"RECSYS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    NotebookClient(read, timeout=300, resources={"metadata": {"path": str(folder)}}).execute(env=environment)
    return read


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [each for cell in notebook.cells for each in cell.get("outputs", [])]


def files(home: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    found = {path: path.stat() for path in home.rglob("*") if path.is_file()}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_while_the_warehouse_is_written_and_writes_nothing(
    notebook: Path, world: Path, tmp_path: Path, held: Callable[[Path], AbstractContextManager[None]]
) -> None:
    list(FolderHub(world / "hub").objects(""))  # files of a copy are fingerprinted once more
    with held(world / "warehouse.duckdb"):
        before = files(world)
        found = outputs(executed(notebook, tmp_path, world))
        assert files(world) == before
    told = "".join(each.text for each in found if each.output_type == "stream" and each.name == "stdout")
    assert [text for text in SAID[notebook.stem] if text not in f"\n{told}"] == []
    assert [each.text for each in found if each.output_type == "stream" and each.name == "stderr"] == []
    assert sum("image/png" in each.get("data", {}) for each in found) == PLOTS[notebook.stem]


@pytest.mark.slow
def test_the_ten_lines_of_the_page_run_as_a_script_too(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notebooks.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    variants = {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}
    plan = {"starts_on": "2026-11-02", "days": 7, "primary": {"ctr": 0.02}}
    (world / "config").mkdir(exist_ok=True)
    experiments = {"blend_against_lightfm": {"variants": variants, "plan": plan}}
    (world / "config" / "experiments.yaml").write_text(yaml.safe_dump(experiments))
    script = world / "ten_lines.py"
    script.write_text(code)
    names = runpy.run_path(str(script))
    assert names["trial"].models[0] in ("wide", "lightfm", "blend", "popularity")
    assert "wide does not go live" in (told := capsys.readouterr()).out
    assert "fitting wide on the evaluation's split" in told.err
    assert set(names["likes"].columns) > {"user_id", "book_id", "is_positive"}


def test_the_command_writes_the_notebooks_for_jupyter_and_keeps_changed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{NOTEBOOKS[0].stem}.ipynb").write_text("mine")
    assert recsys("notebooks", str(tmp_path), patch=monkeypatch) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{path.stem}.ipynb" for path in NOTEBOOKS]
    assert (tmp_path / f"{NOTEBOOKS[0].stem}.ipynb").read_text() == "mine"
    written = nbformat.read(tmp_path / f"{NOTEBOOKS[1].stem}.ipynb", as_version=4)
    assert written.cells[0].source.startswith("# 2 · ")
    assert capsys.readouterr().out.count("written") == 3
