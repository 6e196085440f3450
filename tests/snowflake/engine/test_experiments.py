"""Assignments in SQL, and the audit of experiments, on Snowflake as in Python."""

import datetime as dt
from typing import Any

import pyarrow as pa
from snowflake.connector import connect

from recsys_platform.experiments.assignment_checks import comparable_groups, contradicting_answers
from recsys_platform.experiments.buckets import bucket, bucket_sql
from recsys_platform.experiments.changes import changes_in
from recsys_platform.experiments.lifecycle import apply_edit, ramp, start
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.units import units_of_all_scripts

TRIAL = """
trial:
  status: draft
  hypothesis: more clicks
  variants: {control: {model: production, weight: 30}, treatment: {model: production, weight: 30}}
"""


def test_the_bucket_on_snowflake_is_that_of_python_for_100_000_ids_of_all_scripts(
    warehouse: SnowflakeWarehouse, account: dict[str, Any]
) -> None:
    units = units_of_all_scripts(100_000)
    with connect(**account) as session:
        session.cursor().execute("create table ops.units (unit varchar)")
    warehouse.replace_rows("ops.units", pa.table({"unit": units}), key="unit", values=["none"])
    expression = bucket_sql("'trial'", "unit")
    found = warehouse.frame(f"select unit, {expression} as bucket from ops.units")
    pairs = list(zip(found["unit"].to_pylist(), map(int, found["bucket"].to_pylist()), strict=True))
    assert len(pairs) == 100_000
    assert [(unit, at) for unit, at in pairs if at != bucket("trial", unit)] == []


ANSWERS = {"u4": "control", "u0": "control", "u5": "treatment", "u12": "treatment"}
"""The variant of a visitor in an answer: of control before and after the ramp, of control before it, of treatment, and wrong."""


class Kept:
    """A file in memory."""

    text = TRIAL

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self.text = text


def test_the_audit_and_the_ranges_are_kept_on_snowflake(warehouse: SnowflakeWarehouse) -> None:
    now, file = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC), Kept()
    edit = start(file.text, "trial", models={"production"}, now=now)
    made = apply_edit(edit, file, warehouse, who="ann", why="it is time", now=now)
    assert changes_in(warehouse) == [made]
    ranges = warehouse.frame(
        "select variant, first_bucket, last_bucket, valid_to from ops.experiment_ranges order by 1"
    )
    assert [tuple(row.values()) for row in ranges.to_pylist()] == [
        ("control", 0, 2_999, None),
        ("treatment", 5_000, 7_999, None),
    ]


def test_the_assignment_is_checked_alike_on_snowflake(warehouse: SnowflakeWarehouse, account: dict[str, Any]) -> None:
    now, file = dt.datetime(2026, 11, 2, tzinfo=dt.UTC), Kept()
    edit = start(file.text, "trial", models={"production"}, now=now)
    apply_edit(edit, file, warehouse, who="ann", why="", now=now)
    ramped = ramp(file.text, "trial", ["control=20"], models={"production"})
    apply_edit(ramped, file, warehouse, who="ann", why="", now=now + dt.timedelta(days=1))
    noon = "'2026-11-02 12:00:00'"
    statements = [
        """create table marts.fct_recommendation_requests (visitor_id varchar, experiment varchar, variant varchar, is_bot boolean,
            shown_on date, shown_at timestamp_ntz)""",
        "create table marts.fct_experiment_assignments (visitor_id varchar, experiment varchar, unit_id varchar)",
        *(
            f"insert into marts.fct_recommendation_requests values ('{unit}', 'trial', '{variant}', false, '2026-11-02', {noon})"
            for unit, variant in ANSWERS.items()
        ),
        *(f"insert into marts.fct_experiment_assignments values ('{unit}', 'trial', '{unit}')" for unit in ANSWERS),
    ]
    with connect(**account) as session:
        for statement in statements:
            session.cursor().execute(statement)
    days = [dt.date(2026, 11, 2), dt.date(2026, 11, 3)]
    found = contradicting_answers(warehouse, ramped.after, days[0], days[1])
    assert found is not None
    assert found.sentence.startswith("1 of 4 exposures")
    groups = comparable_groups(warehouse, ramped.after, {}, days)
    assert groups == ({"control": 1, "treatment": 1}, {"control": 2_000, "treatment": 3_000})
