"""Training data: daily snapshots of the marts as Parquet in the hub, for training and for notebooks.

Belongs here: which marts are stored, by day. Does not: building arrays from them (interactions.py).
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
from recsys_platform.warehouse.port import Warehouse

MARTS = {
    "fct_interactions": "select * from marts.fct_interactions order by user_id, book_id",
    "dim_users": "select * from marts.dim_users order by user_id",
    "dim_books": "select * from marts.dim_books order by book_id",
}
_LOADED_TO = b"recsys:loaded_to"
BUILT_TO = "select loaded_to from ops.model_builds where model = 'fct_interactions'"
NEWEST_DAY = "select cast(max(landed_at) as date) as day from raw.engagement_events"


def write_snapshot(hub: Hub, day: dt.date, tables: Mapping[str, pa.Table]) -> list[str]:
    """Write the marts of a day, replacing an earlier snapshot of that day; return the names of the tables that changed."""
    return [name for name, table in tables.items() if put_day(hub, name, day, table)]


def marts_of(warehouse: Warehouse) -> dict[str, pa.Table]:
    """Read the marts; `loaded_to` tells of them up to which load they were built."""
    built = warehouse.frame(BUILT_TO)["loaded_to"].to_pylist()  # first, so that it is never newer than they are
    tables = {name: warehouse.frame(sql) for name, sql in MARTS.items()}
    return with_loaded_to(tables, built[0]) if built else tables


def with_loaded_to(marts: Mapping[str, pa.Table], loaded_to: dt.datetime) -> dict[str, pa.Table]:
    """Return marts that tell up to which load (UTC, without a time zone) they were built."""
    told = marts["fct_interactions"].replace_schema_metadata({_LOADED_TO: loaded_to.isoformat()})
    return {**marts, "fct_interactions": told}


def loaded_to(marts: Mapping[str, pa.Table]) -> dt.datetime | None:
    """The load (UTC, without a time zone) up to which marts were built; None if they do not tell."""
    found = (marts["fct_interactions"].schema.metadata or {}).get(_LOADED_TO)
    return dt.datetime.fromisoformat(found.decode()) if found else None


def latest_snapshot(hub: Hub) -> dict[str, pa.Table]:
    """Read the marts of the newest snapshot, by name. DataError if there is none."""
    days = days_of_table(hub, "fct_interactions")
    if not days:
        raise DataError("There is no training data in the hub yet: materialize `training/interactions` first.")
    return _read_snapshot(hub, days[-1])


def snapshot_since(hub: Hub, data_to: str) -> dict[str, pa.Table] | None:
    """Read the first snapshot at or after `data_to` (ISO text), such as a model's last interaction; None if there is none."""
    since = [
        day for day in days_of_table(hub, "fct_interactions") if data_to and day >= dt.date.fromisoformat(data_to[:10])
    ]
    return _read_snapshot(hub, since[0]) if since else None


def _read_snapshot(hub: Hub, day: dt.date) -> dict[str, pa.Table]:
    return {name: pq.read_table(io.BytesIO(hub.get(curated_key(name, day)))) for name in MARTS}


def latest_dataset(hub: Hub) -> Dataset:
    """Build the data set of the newest snapshot: where a notebook starts.

    Args:
        hub: the data hub of a world, e.g. `hub_of(load_settings())`; docs/models.md has an example.

    Returns:
        All readers, books and interactions as arrays.

    Raises:
        DataError: there is no snapshot yet, or the marts are invalid.
    """
    return dataset_from_marts(latest_snapshot(hub))


def dataset_from_marts(marts: Mapping[str, pa.Table]) -> Dataset:
    """Build the data set of some marts, by name (`latest_snapshot`)."""
    return build_dataset(marts["fct_interactions"], marts["dim_users"], marts["dim_books"])
