"""The check that proves where every accepted record went tells the numbers, and which day lost some."""

import gzip
import json

import dagster as dg

from recsys_platform.defs.transform.checks import every_accepted_record_is_an_event_a_duplicate_or_invalid as check
from recsys_platform.defs.transform.checks import no_landing_hour_lies_ahead
from recsys_platform.ingestion.loading import load_events


def judged(warehouse, *rows):
    columns = (
        "arrived_on date, source varchar, accepted bigint, distinct_events bigint, duplicates bigint, invalid bigint"
    )
    with warehouse.connect() as con:
        con.execute(f"create or replace table marts.rpt_event_conservation ({columns})")
        con.executemany("insert into marts.rpt_event_conservation values (?, ?, ?, ?, ?, ?)", rows)
    result = check(warehouse=warehouse)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_a_day_in_balance_passes_with_its_numbers(warehouse):
    result = judged(warehouse, ("2026-11-21", "segment", 10, 7, 2, 1), ("2026-11-22", "matomo", 3, 3, 0, 0))
    assert result.passed
    numbers = {name: result.metadata[name].value for name in ("accepted", "distinct_events", "duplicates", "invalid")}
    assert numbers == {"accepted": 13, "distinct_events": 10, "duplicates": 2, "invalid": 1}
    assert [record.data["source"] for record in result.metadata["newest_days"].records] == ["matomo", "segment"]


def test_a_record_that_is_nowhere_blocks_and_names_its_day(warehouse):
    result = judged(warehouse, ("2026-11-21", "segment", 10, 7, 2, 0), ("2026-11-22", "matomo", 3, 3, 0, 0))
    assert not result.passed
    assert "2026-11-21 of segment: 10 accepted, but 7 distinct, 2 duplicates and 0 invalid" in result.description
    assert result.metadata["newest_days"].records[0].data["lost"] == 1
    assert next(iter(check.check_specs)).blocking


def test_an_object_under_an_hour_to_come_is_named_by_a_warning(warehouse, hub, land, view):
    land("a.gz", view("m1"))
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    assert no_landing_hour_lies_ahead(warehouse=warehouse).passed
    key = "engagement_events/source=segment/2090/01/01/00/b.gz"
    hub.put(key, gzip.compress(json.dumps(view("m2")).encode()))
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    result = no_landing_hour_lies_ahead(warehouse=warehouse)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"1 landing objects are in folders of future hours, first {key}" in result.description
