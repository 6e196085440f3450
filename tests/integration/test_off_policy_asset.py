"""The judgement of published policies as Dagster runs it, on worlds that can be judged by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.experiments.off_policy import OFF_POLICY
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.policy_worlds import EXPOSURES, Shown, insertion, publish, shown

LISTS = {"m": {"u1": ["a", "b"], "u2": ["a", "c"]}, "other": {"u1": ["x", "y"]}}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Materialize the asset as the button of the UI does; what it tells."""
    defs = build_defs(load_settings({"RECSYS_HOME": str(tmp_path)}))

    def executed(lists: Mapping[str, Mapping[str, Sequence[str]]], *rows: Shown) -> dict[str, Any]:
        warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
        warehouse.prepare()
        with warehouse.connect() as con:
            for statement in [EXPOSURES, *([insertion(rows)] if rows else [])]:
                con.execute(statement)
        if lists:
            publish(warehouse, "v1", lists)
        with dg.DagsterInstance.ephemeral() as instance:
            job = defs.resolve_implicit_global_asset_job_def()
            done = job.execute_in_process(instance=instance, asset_selection=[OFF_POLICY])
        (made,) = done.asset_materializations_for_node("models__off_policy")
        return {name: value.value for name, value in made.metadata.items()}

    return executed


def test_it_shows_estimates_and_a_plot_and_tells_what_was_left_out(run):
    told = run(LISTS, shown("b", clicked=True), shown("c", user="u2"), shown("b", is_bot=True))
    assert (told["exposures used"], told["exposures left out"], told["snips_m"]) == (2, 1, 0.5)
    head, _, *rows = told["policies"].splitlines()
    assert [column.strip() for column in head.strip("|").split("|")] == [
        *("model", "versions", "exposures", "not published then", "no such rank", "agreeing"),
        *("estimator", "value", "95 %", "gain", "gain 95 %", "could be shown", "doubts"),
    ]
    assert [row.split(" | ")[6] for row in rows] == ["ips", "snips", "dr", ""]
    assert told["plot"].startswith("![Clicks under each policy](data:image/png;base64,")
    assert "| seen by bots | 1 |" in told["left out"]
    assert "not judged" not in told


def test_with_days_left_out_they_are_named(run):
    told = run(LISTS, shown("b", propensity=None))
    assert told["days left out"] == "2026-11-21"
    assert told["not judged"].startswith("No exposure can be used for the published lists")


def test_with_nothing_to_judge_it_says_so_and_does_not_fail(run):
    told = run({})
    assert told["not judged"] == "No lists were published yet: there is no policy to evaluate."
    assert (told["exposures used"], told["exposures left out"]) == (0, 0)


def test_it_runs_every_night(tmp_path):
    graph = build_defs(load_settings({"RECSYS_HOME": str(tmp_path)})).resolve_asset_graph()
    assert graph.get(OFF_POLICY).automation_condition == NIGHTLY


@pytest.mark.slow
def test_it_runs_whenever_everything_is_brought_up_to_date(world):
    with instance_of(load_settings({"RECSYS_HOME": str(world)})) as instance:
        (made,) = instance.fetch_materializations(OFF_POLICY, limit=1).records
    assert made.asset_materialization.metadata["not judged"].value.startswith("There are no exposures yet")
