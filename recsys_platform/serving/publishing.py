"""Write the serving snapshot and the artifacts of what is published now.

Belongs here: reading the published tables for a snapshot. Does not: its files (snapshot.py), making the lists (recommender/lists/).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys_platform.common.errors import PublishError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.training_data import loaded_to
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.registry.versions import ALIASES, Registry
from recsys_platform.serving.artifact import write_artifact
from recsys_platform.serving.folders import remove_unused
from recsys_platform.serving.following import ARTIFACTS, SNAPSHOTS
from recsys_platform.serving.signals import TRACKER, Signals, package_signals
from recsys_platform.serving.snapshot import ListedBook, LoadedEvents, Publication, write_snapshot
from recsys_platform.warehouse.port import Warehouse

_LISTS = {
    "published": "user_recommendations",
    "similar": "similar_books",
    "popular": "popular_books",
}
_SQL = {
    "published": """
        select r.user_id as key, r.book_id, r.score, r.reason, r.because_book_id as because, r.model_version
        from published.user_recommendations as r
        inner join published.model_roles as m on r.model = m.model
        where m.is_live
        order by r.user_id, r.rank""",
    "similar": """
        select book_id as key, similar_book_id as book_id, score, null as reason, null as because, model_version
        from published.similar_books order by book_id, rank""",
    "popular": """
        select segment as key, book_id, score, null as reason, null as because, model_version
        from published.popular_books order by segment, rank""",
}

EVENT_DAYS = 7
"""Gateways keep recent events for so long; older ones are in the marts."""
_EVENT_IDS = """
    select event_id from marts.fct_events
    where source = ? and loaded_at <= cast(? as timestamp) and loaded_at > cast(? as timestamp)
        and user_id is not null and book_id is not null and event_name in ({names})
    order by event_id"""
_UNITS = read_sql("recsys_platform.serving", "units_of_readers")
_ALIASES_OF_READERS = "select previous_id, user_id from intermediate.int_user_aliases order by previous_id"


def write_serving_files(
    home: Path, *, warehouse: Warehouse, marts: Mapping[str, pa.Table], registry: Registry, rules: ListRules
) -> Path:
    """Write the snapshot and the artifacts of production and challenger below `home`; return the snapshot's folder.

    `marts`: those that the live publication was made of. Raises PublishError if nothing is published yet.
    """
    version = _live_version(warehouse, _LISTS["published"])
    if version is None:
        raise PublishError("No recommendations are published yet: run `recsys run`.")
    tables = {name: warehouse.frame(_SQL[name]) for name, of in _LISTS.items() if _live_version(warehouse, of)}
    signals = package_signals()
    used = [registry.load(each) for each in filter(None, map(registry.version_of, ALIASES))]
    artifacts = [write_artifact(each, home / ARTIFACTS) for each in used]
    remove_unused(home / ARTIFACTS, {each.name for each in artifacts})
    labels = {name: str(table["model_version"][0].as_py()) for name, table in tables.items() if len(table)}
    return write_snapshot(
        home / SNAPSHOTS,
        publication=Publication(version, labels),
        marts=marts,
        data=build_dataset(marts["fct_interactions"], marts["dim_users"], marts["dim_books"]),
        rules=rules,
        lists={name: lists_by_key(table) for name, table in tables.items()},
        signals=signals,
        loaded=loaded_events(warehouse, built_to, signals) if (built_to := loaded_to(marts)) else None,
    )


def loaded_events(warehouse: Warehouse, built_to: dt.datetime, signals: Signals) -> LoadedEvents:
    """The newest events behind the marts, the ids of readers that were joined, and the units of experiments.

    The warehouse may be newer than the marts, so only events up to their load are taken: one too many would be lost until the next
    snapshot, one too few is merged once more, which changes nothing.
    """
    since, names = built_to - dt.timedelta(days=EVENT_DAYS), signals.names_that_change_lists()
    sql = _EVENT_IDS.replace("{names}", ", ".join("?" * len(names)))
    found = warehouse.frame(sql, [TRACKER, built_to.isoformat(" "), since.isoformat(" "), *names])
    aliases, units = warehouse.frame(_ALIASES_OF_READERS), warehouse.frame(_UNITS)
    return LoadedEvents(
        loaded_to=built_to.replace(tzinfo=dt.UTC).timestamp(),
        since=since.replace(tzinfo=dt.UTC).timestamp(),
        ids=found["event_id"].to_pylist(),
        aliases=dict(zip(aliases["previous_id"].to_pylist(), aliases["user_id"].to_pylist(), strict=True)),
        units=dict(zip(units["user_id"].to_pylist(), units["unit"].to_pylist(), strict=True)),
    )


def _live_version(warehouse: Warehouse, table: str) -> str | None:
    return next((each.version for each in warehouse.published_versions(table) if each.is_live), None)


def lists_by_key(table: pa.Table) -> Iterator[tuple[str, Sequence[ListedBook]]]:
    """Yield the lists of a table that is sorted by `key` and rank."""
    keys = np.asarray(table["key"].cast(pa.string()), dtype=object)
    starts = np.flatnonzero(np.concatenate(([len(keys) > 0], keys[1:] != keys[:-1]))).tolist()
    columns = [table[name].to_pylist() for name in ("book_id", "score", "reason", "because")]
    for start, stop in pairwise([*starts, len(keys)]):
        yield keys[start], [ListedBook(*row) for row in zip(*(each[start:stop] for each in columns), strict=True)]
