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
from recsys_platform.recommender.lists import (
    USER_RECOMMENDATIONS,
    Edition,
    popular_books,
    similar_books,
    user_recommendations,
)
from recsys_platform.recommender.models.trained import TrainedModel
from recsys_platform.recommender.registry import ALIASES, Registry
from recsys_platform.recommender.training import load_model, trained_on
from recsys_platform.recommender.variants import BASELINE, load_variants
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.promises import GIVEN, PROMISES

VARIANTS = load_variants()
SIMILAR_BY = "lightfm"
"""The variant whose book vectors tell which books are alike; where it was not trained on these data, what was published stays."""

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Publication:
    """What was published, or was live already: rows by table are empty then. `model_versions`: labels by variant."""

    version: str
    model_versions: Mapping[str, str]
    rows: Mapping[str, int]


def publish(
    marts: Mapping[str, pa.Table], registry: Registry, warehouse: Warehouse, *, list_length: int, now: dt.datetime
) -> Publication:
    """Publish the lists of the production model, the challenger and the baseline; the same models and data only once.

    Raises ModelError if one of them was trained on other readers or books than there are in the marts.
    """
    data = dataset_of(marts)
    baseline = trained_on(BASELINE, data, VARIANTS, registry) or registry.newest(BASELINE)
    versions = versions_to_publish(registry, baseline)
    labels = {name: registry.listed(version).label for name, version in versions.items()}
    similar = trained_on(SIMILAR_BY, data, VARIANTS, registry) if SIMILAR_BY in VARIANTS else None
    version = _version(labels, similar, data, list_length, now)
    if _same(warehouse.live_version(), version):
        return Publication(str(warehouse.live_version()), labels, {})
    models = {variant: load_model(each, registry) for variant, each in versions.items()}
    for trained in models.values():
        trained.check_fits(data)
    given = {name: marts[name].select(columns) for name, columns in GIVEN.items()}
    given["models"] = pa.table({"model": list(models)})
    editions = {variant: Edition(variant, label, now) for variant, label in labels.items()}
    tables = _tables(models, editions, data, list_length)
    if similar:
        alike, edition = load_model(similar, registry), Edition(SIMILAR_BY, f"{SIMILAR_BY}-v{similar}", now)
        tables["similar_books"] = similar_books(alike.model.arrays()["book_vectors"], data, edition, k=list_length)
    promises = dict(chain.from_iterable(PROMISES[name].items() for name in tables))
    return Publication(version, labels, warehouse.publish(version, tables, promises=promises, given=given))


def versions_to_publish(registry: Registry, baseline: str | None) -> dict[str, str]:
    """Version by the name of its lists: the baseline, production and challenger.

    That name is the variant's; where another recipe of the same variant has it already, the alias is added: `blend_challenger`.
    """
    found = {BASELINE: baseline} if baseline else {}
    for alias in ALIASES:
        version = registry.version_of(alias)
        if version and version not in found.values():
            variant = registry.listed(version).variant
            found[f"{variant}_{alias}" if variant in found else variant] = version
    return found


def _version(labels: Mapping[str, str], similar: str | None, data: Dataset, list_length: int, now: dt.datetime) -> str:
    """The time, so that versions sort, and a hash of all that the lists follow from."""
    facts = json.dumps([sorted(labels.items()), similar, data.fingerprint(), list_length, USER_RECOMMENDATIONS.names])
    return f"{now:%Y%m%dT%H%M%S}_{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def _same(live: str | None, version: str) -> bool:
    return live is not None and live.rpartition("_")[2] == version.rpartition("_")[2]


def _tables(
    models: Mapping[str, TrainedModel], editions: Mapping[str, Edition], data: Dataset, list_length: int
) -> dict[str, Batches]:
    popularity = models[BASELINE].model
    return {
        "user_recommendations": _all_lists(models, editions, data, list_length),
        "popular_books": popular_books(popularity, data, editions[BASELINE], k=list_length),  # type: ignore[arg-type]
    }


def _all_lists(
    models: Mapping[str, TrainedModel], editions: Mapping[str, Edition], data: Dataset, list_length: int
) -> Iterator[pa.RecordBatch]:
    for name, trained in models.items():
        yield from user_recommendations(trained.model, data, editions[name], k=list_length)
