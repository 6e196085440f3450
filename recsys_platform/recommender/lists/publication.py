"""Publish the lists of the production model, the challenger and the baseline in one step.

Belongs here: which models are published together, and under which version. Does not: building the tables (published_tables.py),
swapping them in (warehouse/).
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
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.contracts import CHECK_INPUTS, AppliedRules, contract_checks
from recsys_platform.recommender.lists.list_builder import categories_of, ineffective_rules
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.published_tables import (
    USER_RECOMMENDATIONS,
    Stamp,
    popular_books,
    similar_books,
    user_recommendations,
)
from recsys_platform.recommender.lists.roles import Role, model_roles, roles_table
from recsys_platform.recommender.models.trained import TrainedModel
from recsys_platform.recommender.registry.versions import ALIASES, Registry
from recsys_platform.recommender.training.candidates import find_trained_version, load_model
from recsys_platform.recommender.training.variants import BASELINE, Variants
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.publications import live_version

SIMILAR_BY = "lightfm"
"""The variant whose book vectors define similar books. Without a version of this item catalog the published table stays."""

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Publication:
    """The result of a publication; `rows` by table is empty if the version was already live. `model_versions`: labels by variant.

    `ineffective_rules`: a sentence for each part of the list rules that has no effect.
    """

    version: str
    model_versions: Mapping[str, str]
    rows: Mapping[str, int]
    ineffective_rules: Sequence[str] = ()


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
    """Publish the lists of the production model, the challenger and the baseline, unless the same version is live already.

    Raises ModelError if a model was trained on other readers or books than those of the marts, PublishError if a contract check fails.
    """
    data = dataset_from_marts(marts)
    baseline = find_trained_version(BASELINE, data, variants, registry) or registry.newest(BASELINE)
    versions = versions_to_publish(registry, baseline)
    labels = {name: registry.info(version).label for name, version in versions.items()}
    similar_version = _similar_books_version(data, variants, registry)
    roles = model_roles(registry, versions)
    version = _publication_version(roles, similar_version, data, list_length, rules, now)
    ineffective = ineffective_rules(rules, data, list_length=list_length)
    if _has_same_hash(live_version(warehouse), version):
        return Publication(str(live_version(warehouse)), labels, {}, ineffective)
    models = {variant: load_model(each, registry) for variant, each in versions.items()}
    for trained in models.values():
        trained.check_fits(data)
    stamps = {variant: Stamp(variant, label, now) for variant, label in labels.items()}
    tables = _build_tables(models, stamps, data, list_length, rules)
    tables["model_roles"] = roles_table(roles, now).to_batches()
    if similar_version:
        vectors = load_model(similar_version, registry).model.arrays()["book_vectors"]
        stamp = Stamp(SIMILAR_BY, f"{SIMILAR_BY}-v{similar_version}", now)
        tables["similar_books"] = similar_books(vectors, data, stamp, k=list_length, rules=rules)
    checks_by_table = contract_checks(applied_rules(rules))
    checks = dict(chain.from_iterable(checks_by_table[name].items() for name in tables))
    rows = warehouse.publish(version, tables, checks=checks, inputs=_check_inputs(marts, data, models, rules))
    return Publication(version, labels, rows, ineffective)


def _similar_books_version(data: Dataset, variants: Variants, registry: Registry) -> str | None:
    """The version trained on these data, or else the newest one if it has the same item catalog."""
    present = find_trained_version(SIMILAR_BY, data, variants, registry) if SIMILAR_BY in variants else None
    newest = present or registry.newest(SIMILAR_BY)
    return newest if newest and registry.info(newest).catalogue_hash == data.catalogue_hash else None


def applied_rules(rules: ListRules) -> AppliedRules:
    """Return the list rules that the contract checks depend on."""
    return AppliedRules(
        finished=rules.rules.finished,
        rejected=rules.rules.rejected,
        unavailable=rules.rules.unavailable,
        premium=rules.rules.premium,
        own_language=rules.rules.language == "own",
        excluding=bool(rules.exclude),
        promoting=bool(rules.reranking.promoted),
        most_of_a_category=rules.reranking.most_of_a_category,
    )


def _check_inputs(
    marts: Mapping[str, pa.Table], data: Dataset, models: Iterable[str], rules: ListRules
) -> dict[str, pa.Table]:
    """The tables that the contract checks compare with: marts, models, and the books that the rules name."""
    inputs = {name: marts[name].select(columns) for name, columns in CHECK_INPUTS.items()}
    inputs["models"] = pa.table({"model": list(models)})
    if rules.exclude:
        inputs["excluded"] = pa.table({"book_id": list(rules.exclude)})
    if promoted := rules.reranking.promoted:
        ranks = pa.array([each.rank for each in promoted], pa.int32())
        inputs["promoted"] = pa.table({"book_id": [each.book_id for each in promoted], "rank": ranks})
    if rules.reranking.most_of_a_category:
        inputs["book_categories"] = _book_categories(data)
    return inputs


def _book_categories(data: Dataset) -> pa.Table:
    """One row per book and category, with the category as a number."""
    book, category = categories_of(data).nonzero()
    ids = pa.array(data.book_ids, pa.string()).take(pa.array(book))
    return pa.table({"book_id": ids, "category": pa.array(category, pa.int32())})


def versions_to_publish(registry: Registry, baseline: str | None) -> dict[str, str]:
    """Return the versions of baseline, production and challenger, by the name of their lists.

    The name is that of the variant; for a second recipe of the same variant the alias is appended: `blend_challenger`.
    """
    found = {BASELINE: baseline} if baseline else {}
    for alias in ALIASES:
        version = registry.version_of(alias)
        if version and version not in found.values():
            variant = registry.info(version).variant
            found[f"{variant}_{alias}" if variant in found else variant] = version
    return found


def _publication_version(
    roles: Sequence[Role],
    similar_version: str | None,
    data: Dataset,
    list_length: int,
    rules: ListRules,
    now: dt.datetime,
) -> str:
    """The time, so that versions sort, and a hash of everything the lists depend on; exploration only affects live requests."""
    models = [
        sorted([each.model, each.model_version, each.role, each.chosen_by, each.why] for each in roles),
        similar_version,
    ]
    facts = json.dumps([*models, data.fingerprint(), list_length, USER_RECOMMENDATIONS.names, _publishing_rules(rules)])
    return f"{now:%Y%m%dT%H%M%S}_{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def rules_version(rules: ListRules, list_length: int) -> str:
    """Return a hash of everything lists depend on besides models and data."""
    return hashlib.sha256(json.dumps([_publishing_rules(rules), list_length]).encode()).hexdigest()[:16]


def _publishing_rules(rules: ListRules) -> dict[str, Any]:
    return {name: value for name, value in asdict(rules).items() if name != "exploration"}


def _has_same_hash(live: str | None, version: str) -> bool:
    return live is not None and live.rpartition("_")[2] == version.rpartition("_")[2]


def _build_tables(
    models: Mapping[str, TrainedModel],
    stamps: Mapping[str, Stamp],
    data: Dataset,
    list_length: int,
    rules: ListRules,
) -> dict[str, Batches]:
    popularity: Any = models[BASELINE].model
    return {
        "user_recommendations": _all_lists(models, stamps, data, list_length, rules),
        "popular_books": popular_books(popularity, data, stamps[BASELINE], k=list_length, rules=rules),
    }


def _all_lists(
    models: Mapping[str, TrainedModel],
    stamps: Mapping[str, Stamp],
    data: Dataset,
    list_length: int,
    rules: ListRules,
) -> Iterator[pa.RecordBatch]:
    for name, trained in models.items():
        yield from user_recommendations(trained.model, data, stamps[name], k=list_length, rules=rules)
