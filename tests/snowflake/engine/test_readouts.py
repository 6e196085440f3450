"""An experiment is read alike on both engines."""

import datetime as dt
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from snowflake.connector import connect

from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.metric_days import measure
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.experiment_worlds import TABLES, event, insertions, payment, request

DAYS = [dt.date(2026, 11, 2) + dt.timedelta(days=day) for day in range(2)]
PLAN = {"starts_on": DAYS[0], "days": 7, "primary": {"ctr": 0.02}, "guardrails": {"starts": 0.1, "revenue": 0.1}}
VARIANTS = {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}
ROWS = [
    *(request(f"u{at}", at % 2, books=10, clicked=at % 4, variant="control" if at % 3 else "treatment") for at in range(40)),
    *(request(f"u{at}", -2, books=5, clicked=at % 2, variant=None) for at in range(20)),
    *(event(f"u{at}", 1, "Book Started") for at in range(0, 40, 3)),
    *(paid for at in range(0, 40, 5) for day in (-1, 1) for paid in payment(f"u{at}", day, 2.5 * at)),
    request("both", 0),
    request("both", 1, variant="treatment"),
    request("late", 2),
]  # fmt: skip


def test_the_read_out_does_not_depend_on_the_engine(
    warehouse: SnowflakeWarehouse, account: dict[str, Any], tmp_path: Any
) -> None:
    (trial,) = parse_experiments({"trial": {"variants": VARIANTS, "surfaces": ["home"], "plan": PLAN}})
    local = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    local.prepare()
    with local.connect() as con, connect(**account) as session:
        for statement in (*TABLES, *insertions(ROWS)):
            con.execute(statement)
            session.cursor().execute(statement)
    for metric in ("ctr", "starts", "revenue"):
        ours, theirs = (
            measure(each, "trial", [metric], DAYS).of(metric, "control").sums for each in (local, warehouse)
        )
        for each in fields(Sums):
            assert np.array_equal(getattr(ours, each.name), getattr(theirs, each.name)), (metric, each.name)
        assert np.asarray(ours.known)[-1] > 0
    ours_read, theirs_read = read_experiment(local, trial), read_experiment(warehouse, trial)
    assert ours_read.readers == theirs_read.readers == {"control": 26, "treatment": 14}
    assert theirs_read.result is not None
    assert ours_read.result is not None
    assert theirs_read.result.decision == ours_read.result.decision
    assert [each.p_value for each in theirs_read.result.readings] == pytest.approx(
        [each.p_value for each in ours_read.result.readings]
    )
