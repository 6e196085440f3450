"""The same lists and exposures are judged alike on both engines."""

import datetime as dt
from dataclasses import replace
from typing import Any

from snowflake.connector import connect

from recsys_platform.experiments.published_policies import evaluate_published
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.policy_worlds import EXPOSURES, MADE, insertion, publish, shown

LATER = MADE + dt.timedelta(days=3)
LISTS = {"m": {"u1": ["a", "b"], "u2": ["a", "c"]}}
LOG = [
    shown("b", clicked=True),
    shown("c", user="u2", propensity=0.25),
    shown("a", position=1, propensity=1.0),
    shown("b", is_bot=True),
    shown("b", at=MADE - dt.timedelta(days=1)),
    shown("b", at=MADE + dt.timedelta(days=2), propensity=None),
    shown("d", at=LATER + dt.timedelta(hours=1), clicked=True),
    shown("d", user=None, visitor_id="a1", at=LATER + dt.timedelta(hours=1)),
    shown("b", user="u2", draw_id="d1", at=MADE - dt.timedelta(hours=1)),
    shown("b", user="u2", draw_id="d1"),
]


def test_the_judgement_does_not_depend_on_the_engine(
    warehouse: SnowflakeWarehouse, account: dict[str, Any], tmp_path: Any
) -> None:
    local = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    local.prepare()
    with local.connect() as con, connect(**account) as session:
        for statement in (EXPOSURES, insertion(LOG)):
            con.execute(statement)
            session.cursor().execute(statement)
    for each in (local, warehouse):
        publish(each, "v1", LISTS)
        publish(each, "v2", {"m": {"u1": ["a", "d"]}, "young": {"u1": ["a", "d"]}}, made=LATER)
    ours, theirs = evaluate_published(local), evaluate_published(warehouse)
    assert [(each.model, each.exposures, each.agreeing) for each in theirs.models] == [("m", 3, 3), ("young", 1, 1)]
    assert sorted(theirs.left_out.values()) == [1, 1, 1, 1, 2]
    assert replace(theirs, models=()) == replace(ours, models=())
    assert repr(theirs.models) == repr(ours.models)  # an interval without ends equals itself only in words
