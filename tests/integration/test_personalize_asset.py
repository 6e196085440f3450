"""The export to Amazon Personalize as Dagster runs it: when it is named, and only then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.load_requests import REFRESH
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.hub.local import FolderHub
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

DATASETS = dg.AssetKey(["personalize", "datasets"])
MARTS = """
    create or replace table marts.fct_interactions as
        select 'u' || n % 25 as user_id, 'b' || n // 25 as book_id, 'Book Finished' as last_action, 5.0::double as weight,
            timestamp '2026-11-20' as first_at, timestamp '2026-11-20' as last_at
        from range({interactions}) as t(n);
    create or replace table marts.dim_users as
        select 'u' || n as user_id, 'DE' as country, 'de' as language, 'free' as tier, ['money'] as interests
        from range(25) as t(n);
    create or replace table marts.dim_books as
        select 'b' || n as book_id, 'Tea' as title, '{author}' as author, 'de' as language, ['money'] as categories,
            15 as reading_minutes, true as is_premium, true as is_available, timestamp '2026-11-01' as published_at
        from range(100) as t(n);
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def defs(home) -> dg.Definitions:
    return build_defs(load_settings({"RECSYS_HOME": str(home)}))


@pytest.fixture
def run(home, defs) -> Callable[..., dg.ExecuteInProcessResult]:
    """Materialize the export of marts with so many interactions, as the button of the UI does."""

    def executed(interactions: int = 1_000, author: str = "Ada") -> dg.ExecuteInProcessResult:
        warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
        warehouse.prepare()
        with warehouse.connect() as con:
            con.execute(MARTS.format(interactions=interactions, author=author))
        job = defs.resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            return job.execute_in_process(instance=instance, asset_selection=[DATASETS], raise_on_error=False)

    return executed


def figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (made,) = result.asset_materializations_for_node("personalize__datasets")
    return {name: value.value for name, value in made.metadata.items()}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (found,) = result.get_asset_check_evaluations()
    return found


def test_it_writes_three_data_sets_and_tells_their_rows(home, run):
    done = run()
    assert done.success
    told = figures(done)
    assert (told["interactions"], told["users"], told["items"], told["interactions_left_out"]) == (1_000, 25, 100, 0)
    files = FolderHub(home / "hub").objects(f"personalize/dt={told['day']}/")
    assert len(files) == 6
    assert check(done).passed


def test_too_few_interactions_are_a_warning_that_does_not_block(run):
    told = check(run(interactions=999))
    assert (told.passed, told.severity, told.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert told.description == "there are 999 interactions, and Personalize trains on 1,000 or more"


def test_what_personalize_would_refuse_fails_in_one_sentence(run):
    (failure,) = [event.step_failure_data for event in run(author="a" * 1_001).all_events if event.is_step_failure]
    assert failure.user_failure_data.description == (
        "Nothing was written for Personalize: 100 of the values in Items.AUTHOR have more than 1,000 characters. "
        "Fix the marts, then export again."
    )


def test_nothing_runs_it_by_itself(home, defs):
    graph = defs.resolve_asset_graph()
    assert graph.get(DATASETS).automation_condition is None
    assert DATASETS not in defs.resolve_job_def(REFRESH).asset_layer.selected_asset_keys
    made = outline_of(defs).made_in_every_run
    assert DATASETS not in made
    assert dg.AssetKey(["published", "similar_books"]) in made
