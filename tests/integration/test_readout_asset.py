"""The read-out of experiments as Dagster runs it and as the command prints it, on worlds of a few rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_platform.cli import app as cli
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.experiments.readout import experiments_readout
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.experiment_worlds import TABLES, Row, insertions, request

EXPERIMENTS = """
trial:
  variants: {control: {model: production, weight: 50}, treatment: {model: challenger, weight: 50}}
  surfaces: [home]
  plan: {starts_on: 2026-11-02, days: 14, primary: {ctr: 0.02}, guardrails: {clicks: 0.1}}
unplanned:
  variants: {one: {model: challenger, weight: 50}}
  surfaces: [email]
"""


def planted(controls: int, treatments: int) -> list[Row]:
    """Readers of two days who see ten books each and click two or three, and one who comes on the day after."""
    groups = [("control", controls), ("treatment", treatments)]
    rows = [
        request(f"{variant}{at}", at % 2, books=10, clicked=2 + at % 3 // 2, variant=variant)
        for variant, count in groups
        for at in range(count)
    ]
    return [*rows, request("late", 2)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "experiments.yaml").write_text(EXPERIMENTS, encoding="utf-8")
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    return tmp_path


def fill(home: Path, rows: list[Row]) -> None:
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    warehouse.prepare()
    with warehouse.connect() as con:
        for statement in (*TABLES, *insertions(rows)):
            con.execute(statement)


@pytest.fixture
def run(home: Path) -> Callable[[list[Row]], tuple[dict[str, Any], Any]]:
    """Materialize the asset alone; its metadata and the result of its check."""

    def executed(rows: list[Row]) -> tuple[dict[str, Any], Any]:
        fill(home, rows)
        warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
        settings = load_settings({"RECSYS_HOME": str(home)})
        done = dg.materialize([experiments_readout], resources={"warehouse": warehouse, "settings": settings})
        (made,) = done.asset_materializations_for_node("experiments__readout")
        (check,) = done.get_asset_check_evaluations()
        return {name: value.value for name, value in made.metadata.items()}, check

    return executed


def test_the_verdict_the_metrics_and_a_plot_are_shown(run: Callable[..., Any]) -> None:
    told, check = run(planted(300, 300))
    assert (told["experiments"], told["trial: verdict"]) == (1, "keep running")
    assert told["trial: reason"].startswith("Keep running treatment: ctr ")
    assert told["trial: readers"] == "control 300, treatment 300"
    assert told["trial: health"] == "Nothing was found."
    assert len(told["trial: metrics"].splitlines()) == 4
    assert told["trial: plot"].startswith("![Lift of trial by day](data:image/png;base64,")
    assert check.passed


def test_an_invalid_experiment_is_a_warning(run: Callable[..., Any]) -> None:
    told, check = run(planted(300, 100))
    assert told["trial: verdict"] == "invalid"
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "trial: Invalid: The groups do not have the sizes of their weights" in check.description


def test_without_a_day_that_is_over_it_says_so_and_does_not_fail(run: Callable[..., Any]) -> None:
    told, check = run([])
    assert told["trial: not read"] == "No day since 2026-11-02 is over: there is nothing to read yet."
    assert check.passed


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["recsys", "experiments", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out + said.err


def test_the_commands_list_and_read(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, planted(300, 300))
    code, listed = printed(capsys, monkeypatch, "list")
    assert code == 0
    assert "2026-11-02 to 2026-11-15" in listed
    assert "no plan" in listed
    code, told = printed(capsys, monkeypatch, "read", "trial")
    assert code == 0
    assert "readers: control 300, treatment 300" in told
    assert "keep running: Keep running treatment: ctr" in told
    code, told = printed(capsys, monkeypatch, "read", "other")
    assert code == 1
    assert "There is no experiment other: name one of trial, unplanned." in told
