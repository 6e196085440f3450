"""One publication: the lists of every production model, put before readers in one step.

Belongs here: which models are published together and under which version. Does not: how lists are made (lists.py) or swapped
(warehouse/publishing.py).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from recsys_platform.recommender.curated import dataset_of
from recsys_platform.recommender.dataset import Dataset
from recsys_platform.recommender.lists import Edition, popular_books, similar_books, user_recommendations
from recsys_platform.recommender.models.trained import TrainedModel
from recsys_platform.recommender.registry import ModelVersion, Registry
from recsys_platform.recommender.training import production_model
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.promises import GIVEN, PROMISES

PUBLISHED = ("popularity", "lightfm", "blend")

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Publication:
    """What was published, or was live already: rows by table are empty then."""

    version: str
    model_versions: Mapping[str, str]
    rows: Mapping[str, int]


def publish(
    marts: Mapping[str, pa.Table], registry: Registry, warehouse: Warehouse, *, list_length: int, now: dt.datetime
) -> Publication:
    """Publish the production models' lists for the marts they were trained on; the same models and data only once."""
    data = dataset_of(marts)
    models = {name: production_model(name, registry) for name in PUBLISHED}
    versions = {name: stored.version for name, (stored, _) in models.items()}
    version = _version(versions, data, list_length, models)
    if warehouse.live_version() == version:
        return Publication(version, versions, {})
    for _, trained in models.values():
        trained.check_fits(data)
    promises = dict(chain.from_iterable(table.items() for table in PROMISES.values()))
    given = {name: marts[name].select(columns) for name, columns in GIVEN.items()}
    given["models"] = pa.table({"model": list(PUBLISHED)})
    tables = _tables({name: trained for name, (_, trained) in models.items()}, versions, data, list_length, now)
    return Publication(version, versions, warehouse.publish(version, tables, promises=promises, given=given))


def _version(
    versions: Mapping[str, str],
    data: Dataset,
    list_length: int,
    models: Mapping[str, tuple[ModelVersion, TrainedModel]],
) -> str:
    """The newest model's time, so that versions sort, and a hash of all that the lists follow from."""
    newest = max(str(stored.manifest["created_at"]) for stored, _ in models.values())
    facts = json.dumps([sorted(versions.items()), data.fingerprint(), list_length])
    return f"{dt.datetime.fromisoformat(newest):%Y%m%dT%H%M%S}_{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def _tables(
    models: Mapping[str, TrainedModel],
    versions: Mapping[str, str],
    data: Dataset,
    list_length: int,
    now: dt.datetime,
) -> dict[str, Batches]:
    editions = {name: Edition(name, versions[name], now) for name in models}
    lightfm, popularity = models["lightfm"].model, models["popularity"].model
    vectors = lightfm.arrays()["book_vectors"]
    return {
        "user_recommendations": _all_lists(models, editions, data, list_length),
        "similar_books": similar_books(vectors, data, editions["lightfm"], k=list_length),
        "popular_books": popular_books(popularity, data, editions["popularity"], k=list_length),  # type: ignore[arg-type]
    }


def _all_lists(
    models: Mapping[str, TrainedModel], editions: Mapping[str, Edition], data: Dataset, list_length: int
) -> Iterator[pa.RecordBatch]:
    for name, trained in models.items():
        yield from user_recommendations(trained.model, data, editions[name], k=list_length)
