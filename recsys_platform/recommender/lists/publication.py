"""One publication: the lists of every production model, put before readers in one step.

Belongs here: which models are published together and under which version. Does not: how lists are made (tables.py) or swapped
(warehouse/publishing.py).
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import pyarrow as pa

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.training_data import dataset_of
from recsys_platform.recommender.lists.contracts import GIVEN, Made, promises_of
from recsys_platform.recommender.lists.list_builder import categories_of, unheeded
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.published_tables import (
    USER_RECOMMENDATIONS,
    Edition,
    popular_books,
    similar_books,
    user_recommendations,
)
from recsys_platform.recommender.lists.roles import Role, roles_of, roles_table
from recsys_platform.recommender.models.trained import TrainedModel
from recsys_platform.recommender.registry.versions import ALIASES, Registry
from recsys_platform.recommender.training.candidates import load_model, trained_on
from recsys_platform.recommender.training.variants import BASELINE, Variants
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.publications import live_version

SIMILAR_BY = "lightfm"
"""The variant whose book vectors tell which books are alike; where no version knows this catalogue, what was published stays."""

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Publication:
    """What was published, or was live already: rows by table are empty then. `model_versions`: labels by variant.

    `unheeded`: a sentence for each part of the list rules that changed nothing.
    """

    version: str
    model_versions: Mapping[str, str]
    rows: Mapping[str, int]
    unheeded: Sequence[str] = ()


def publish(
    marts: Mapping[str, pa.Table],
    registry: Registry,
    warehouse: Warehouse,
    *,
    list_length: int,
    now: dt.datetime,
    variants: Variants,
    rules: ListRules,
) -> Publication:
    """Publish the lists of the production model, the challenger and the baseline; the same models, data and rules only once.

    Raises ModelError if one of them was trained on other readers or books than there are in the marts.
    """
    data = dataset_of(marts)
    baseline = trained_on(BASELINE, data, variants, registry) or registry.newest(BASELINE)
    versions = versions_to_publish(registry, baseline)
    labels = {name: registry.listed(version).label for name, version in versions.items()}
    similar = _similar_by(data, variants, registry)
    roles = roles_of(registry, versions)
    version = _version(roles, similar, data, list_length, rules, now)
    in_vain = unheeded(rules, data, list_length=list_length)
    if _same(live_version(warehouse), version):
        return Publication(str(live_version(warehouse)), labels, {}, in_vain)
    models = {variant: load_model(each, registry) for variant, each in versions.items()}
    for trained in models.values():
        trained.check_fits(data)
    editions = {variant: Edition(variant, label, now) for variant, label in labels.items()}
    tables = _tables(models, editions, data, list_length, rules)
    tables["model_roles"] = roles_table(roles, now).to_batches()
    if similar:
        vectors = load_model(similar, registry).model.arrays()["book_vectors"]
        edition = Edition(SIMILAR_BY, f"{SIMILAR_BY}-v{similar}", now)
        tables["similar_books"] = similar_books(vectors, data, edition, k=list_length, rules=rules)
    kept = promises_of(made_by(rules))
    promises = dict(chain.from_iterable(kept[name].items() for name in tables))
    rows = warehouse.publish(version, tables, promises=promises, given=_given(marts, data, models, rules))
    return Publication(version, labels, rows, in_vain)


def _similar_by(data: Dataset, variants: Variants, registry: Registry) -> str | None:
    """The version trained on these data, or else the newest one if it is about the same books."""
    present = trained_on(SIMILAR_BY, data, variants, registry) if SIMILAR_BY in variants else None
    newest = present or registry.newest(SIMILAR_BY)
    return newest if newest and registry.listed(newest).catalogue_hash == data.catalogue_hash else None


def made_by(rules: ListRules) -> Made:
    """What the promises need to know of the list rules."""
    return Made(
        finished=rules.rules.finished,
        rejected=rules.rules.rejected,
        unavailable=rules.rules.unavailable,
        premium=rules.rules.premium,
        own_language=rules.rules.language == "own",
        excluding=bool(rules.exclude),
        promoting=bool(rules.reranking.promoted),
        most_of_a_category=rules.reranking.most_of_a_category,
    )


def _given(
    marts: Mapping[str, pa.Table], data: Dataset, models: Iterable[str], rules: ListRules
) -> dict[str, pa.Table]:
    """What the promises are judged against: marts, models, and what the rules name, if they name anything."""
    given = {name: marts[name].select(columns) for name, columns in GIVEN.items()}
    given["models"] = pa.table({"model": list(models)})
    if rules.exclude:
        given["excluded"] = pa.table({"book_id": list(rules.exclude)})
    if promoted := rules.reranking.promoted:
        ranks = pa.array([each.rank for each in promoted], pa.int32())
        given["promoted"] = pa.table({"book_id": [each.book_id for each in promoted], "rank": ranks})
    if rules.reranking.most_of_a_category:
        given["book_categories"] = _book_categories(data)
    return given


def _book_categories(data: Dataset) -> pa.Table:
    """One row a book and category, the category as a number."""
    book, category = categories_of(data).nonzero()
    ids = pa.array(data.book_ids, pa.string()).take(pa.array(book))
    return pa.table({"book_id": ids, "category": pa.array(category, pa.int32())})


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


def _version(
    roles: Sequence[Role],
    similar: str | None,
    data: Dataset,
    list_length: int,
    rules: ListRules,
    now: dt.datetime,
) -> str:
    """The time, so that versions sort, and a hash of all that the lists follow from; exploration is for live answers."""
    models = [sorted([each.model, each.model_version, each.role, each.chosen_by, each.why] for each in roles), similar]
    facts = json.dumps([*models, data.fingerprint(), list_length, USER_RECOMMENDATIONS.names, _said(rules)])
    return f"{now:%Y%m%dT%H%M%S}_{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def rules_version(rules: ListRules, list_length: int) -> str:
    """A hash of what lists follow from besides models and data."""
    return hashlib.sha256(json.dumps([_said(rules), list_length]).encode()).hexdigest()[:16]


def _said(rules: ListRules) -> dict[str, Any]:
    return {name: value for name, value in asdict(rules).items() if name != "exploration"}


def _same(live: str | None, version: str) -> bool:
    return live is not None and live.rpartition("_")[2] == version.rpartition("_")[2]


def _tables(
    models: Mapping[str, TrainedModel],
    editions: Mapping[str, Edition],
    data: Dataset,
    list_length: int,
    rules: ListRules,
) -> dict[str, Batches]:
    popularity: Any = models[BASELINE].model
    return {
        "user_recommendations": _all_lists(models, editions, data, list_length, rules),
        "popular_books": popular_books(popularity, data, editions[BASELINE], k=list_length, rules=rules),
    }


def _all_lists(
    models: Mapping[str, TrainedModel],
    editions: Mapping[str, Edition],
    data: Dataset,
    list_length: int,
    rules: ListRules,
) -> Iterator[pa.RecordBatch]:
    for name, trained in models.items():
        yield from user_recommendations(trained.model, data, editions[name], k=list_length, rules=rules)
