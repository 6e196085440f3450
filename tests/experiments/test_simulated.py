"""A simulated experiment is read as a real one, and what is planted in it is found."""

import datetime as dt
from pathlib import Path

import pytest

from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.readouts import ExperimentReport, read_experiment
from recsys_platform.experiments.simulated import NAME, SimulatedExperiment
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.experiment_worlds import TABLES


def read(folder: Path, made: SimulatedExperiment) -> ExperimentReport:
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    made.write(warehouse)
    (experiment,) = parse_experiments({NAME: made.definition()})
    return read_experiment(warehouse, experiment)


@pytest.mark.parametrize("lift", [0.0, 0.3])
def test_the_planted_lift_is_in_the_interval_and_no_health_check_objects(tmp_path: Path, lift: float) -> None:
    report = read(tmp_path, SimulatedExperiment(readers=2_000, days=5, lift=lift))
    assert report.result
    (ctr, finishes) = report.result.readings
    assert ctr.repeated.low[-1] < lift < ctr.repeated.high[-1]
    assert finishes.repeated.low[-1] < 0 < finishes.repeated.high[-1]
    assert report.result.findings == ()
    assert (ctr.repeated.low[-1] > 0) == (lift > 0)
    assert sum((report.readers or {}).values()) == 2_000
    assert ctr.saved > 0.02, "the pre-period tells something"


def test_lost_readers_make_it_invalid(tmp_path: Path) -> None:
    report = read(tmp_path, SimulatedExperiment(readers=2_000, days=3, lost=0.25))
    assert report.result
    assert report.result.decision.verdict is Verdict.INVALID
    assert [each.name for each in report.result.findings] == ["sample_ratio_mismatch"]


def test_its_marts_have_the_columns_of_those_that_dbt_builds(tmp_path: Path) -> None:
    """`tests/dbt/test_experiment_marts.py` holds the tables of `experiment_worlds` equal to the marts."""
    warehouse, real = (DuckDBWarehouse(tmp_path / f"{name}.duckdb") for name in ("simulated", "real"))
    SimulatedExperiment(readers=50, days=2).write(warehouse)
    real.prepare()
    with real.connect() as con:
        for statement in TABLES:
            con.execute(statement)
    asked = "select table_name, column_name from information_schema.columns where table_schema = 'marts'"
    found, wanted = ({tuple(row.values()) for row in each.frame(asked).to_pylist()} for each in (warehouse, real))
    assert found == wanted
    dates = warehouse.frame("select min(metric_on) as first, max(metric_on) as last from marts.fct_experiment_metrics")
    assert dates.to_pylist() == [{"first": dt.date(2026, 1, 5), "last": dt.date(2026, 1, 6)}]
