"""What a listing costs in a large hub: requests in proportion to the day that is asked for."""

import datetime as dt
import math

import pytest

from recsys_platform.hub.layout import SOURCES, landing_key
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.ingestion.arrivals import arrivals
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.s3_listing import PAGE, Bucket, serving

LAST = dt.date(2026, 11, 20)


def hub_of_days(days: int, a_day: int) -> list[str]:
    """Keys of as many objects on each of so many days, in thirds from the three trackers."""
    return sorted(
        f"world/{landing_key(SOURCES[n % 3], dt.datetime.combine(LAST - dt.timedelta(day), dt.time(n % 24)), f'{n:05}.gz')}"
        for day in range(days)
        for n in range(a_day)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("days", "a_day"), [(1, 4_000), (25, 4_000), (100, 1_000)])
def test_a_day_of_a_hub_of_100_000_objects_is_listed_like_a_hub_of_that_day_alone(
    days: int, a_day: int, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Bucket(hub_of_days(days, a_day))) as bucket:
        monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.address)
        found = arrivals(S3Hub("recsys-hub", "world"), warehouse, LAST)
    assert len(found.new) == a_day
    assert bucket.requests == sum(math.ceil(len(range(n, a_day, 3)) / PAGE) for n in range(3))
