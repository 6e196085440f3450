"""The training data as Parquet in the hub: what models are trained on, and what data scientists open in a notebook.

Belongs here: which marts are kept, by day. Does not: what becomes of them as arrays (interactions.py).
"""

import datetime as dt
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.hub.curated import days_of_table, put_day
from recsys_platform.hub.layout import curated_key
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.errors import DataError

MARTS = {
    "fct_interactions": "select * from marts.fct_interactions order by user_id, book_id",
    "dim_users": "select * from marts.dim_users order by user_id",
    "dim_books": "select * from marts.dim_books order by book_id",
}
NEWEST_DAY = "select cast(max(landed_at) as date) as day from raw.engagement_events"


def keep(hub: Hub, day: dt.date, tables: Mapping[str, pa.Table]) -> list[str]:
    """Write the marts of a day, replacing an earlier state of the same day; the names of those that changed."""
    return [name for name, table in tables.items() if put_day(hub, name, day, table)]


def newest_marts(hub: Hub) -> dict[str, pa.Table]:
    """The marts of the newest day that was kept; `DataError` if there is none."""
    days = days_of_table(hub, "fct_interactions")
    if not days:
        raise DataError("There is no training data in the hub yet: materialize `training/interactions` first.")
    return _marts(hub, days[-1])


def marts_trained_on(hub: Hub, data_to: str) -> dict[str, pa.Table] | None:
    """The marts of the first day that was kept from a version's last interaction on (ISO text), None if there are none any more."""
    since = [
        day for day in days_of_table(hub, "fct_interactions") if data_to and day >= dt.date.fromisoformat(data_to[:10])
    ]
    return _marts(hub, since[0]) if since else None


def _marts(hub: Hub, day: dt.date) -> dict[str, pa.Table]:
    return {name: pq.read_table(io.BytesIO(hub.get(curated_key(name, day)))) for name in MARTS}


def newest_dataset(hub: Hub) -> Dataset:
    """The data set of the newest day that was kept; `DataError` if there is none."""
    return dataset_of(newest_marts(hub))


def dataset_of(marts: Mapping[str, pa.Table]) -> Dataset:
    """The arrays of some marts."""
    return build_dataset(marts["fct_interactions"], marts["dim_users"], marts["dim_books"])
