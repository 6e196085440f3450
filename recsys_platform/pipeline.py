"""The whole pipeline as plain functions, without Dagster: for a notebook, a script, or a scheduler of your own.

Belongs here: the order of the steps, and ending where a check fails. Does not: the steps themselves; each is a function of the package
that its asset in `defs/` calls too.
"""

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from recsys_platform.catalog.schema_history import record_tables
from recsys_platform.catalog.snapshot_drift import snapshot_drift
from recsys_platform.catalog.tables import LocalCatalog
from recsys_platform.common.clock import naive_utc_now, utc_today
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.dbt_profile import environment_for_dbt
from recsys_platform.config.factories import (
    endpoint_of,
    hub_of,
    list_rules_of,
    prepare_home,
    registry_of,
    variants_of,
    warehouse_of,
)
from recsys_platform.config.settings import Settings
from recsys_platform.exports.daily_export import DAILY_TABLES, write_changed_days
from recsys_platform.hub.layout import LANDING, Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_parts
from recsys_platform.ingestion.arrivals import all_arrivals, new_snapshots
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.ingestion.quarantine import mirror_rejected
from recsys_platform.ingestion.reconciliation import account, conserved_events
from recsys_platform.recommender.data import training_data
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import DataError, NothingToLearnError
from recsys_platform.recommender.evaluation.evaluate import Evaluation
from recsys_platform.recommender.evaluation.results import store_evaluation, stored_results
from recsys_platform.recommender.lists.publication import Publication, publish
from recsys_platform.recommender.registry.gate import GateParams
from recsys_platform.recommender.registry.promotion import apply_gate, choice_in_force
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.recommender.training.candidates import (
    EVALUATION,
    candidate_versions,
    evaluate_variants,
    live_recipe,
    train,
)
from recsys_platform.recommender.training.variants import BASELINE, Variants
from recsys_platform.reports.evaluation_page import REPORT, evaluation_page
from recsys_platform.reports.evaluation_plots import evaluation_plot
from recsys_platform.serving.publishing import write_serving_files
from recsys_platform.serving.rollout.controller import Rollout, rollout_of
from recsys_platform.sources.attributes import fetch_snapshot, last_fetch, store_fetched
from recsys_platform.sources.feed_losses import check_newest_feed
from recsys_platform.transform.dbt import build
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy
from recsys_platform.warehouse.port import LoadReport, Warehouse

_LOG = logging.getLogger(__name__)
KINDS: tuple[Attributes, ...] = ("user_attributes", "book_attributes")


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: what was loaded, the version of each variant, what is published."""

    loaded: LoadReport
    versions: Mapping[str, str]
    published: Publication


def refresh(settings: Settings) -> Refreshed:
    """Fetch and load what is new, then build, train, apply the gate and publish, without Dagster.

    `recsys run` does the same steps as Dagster assets, and only those that are out of date; a world may be refreshed by either.
    Raises `RecsysError` where a step fails or records were lost; what was published before stays live then.

        from recsys_platform.config.settings import load_settings
        from recsys_platform.pipeline import refresh

        done = refresh(load_settings({"RECSYS_HOME": "my_world"}))
        print(done.loaded.records, done.versions, done.published.version)
    """
    prepare_home(settings)
    hub, warehouse, registry = hub_of(settings), warehouse_of(settings), registry_of(settings)
    warehouse.prepare()
    loaded = ingest(settings, hub, warehouse)
    transform(settings, warehouse)
    data = keep_training_data(hub, warehouse)
    variants = variants_of(settings)
    versions = learn(
        data, variants, hub, warehouse, registry, rollout_of(settings) if settings.canary == "on" else None
    )
    published = publish_for_gateways(settings, hub, warehouse, registry)
    export(settings, hub, warehouse)
    return Refreshed(loaded, versions, published)


def ingest(settings: Settings, hub: Hub, warehouse: Warehouse) -> LoadReport:
    """Fetch attributes from the endpoints of the settings, and load them and all new landing objects."""
    for kind in KINDS:
        _fetch_attributes(settings, hub, kind)
        for day in new_snapshots(hub, warehouse, kind):
            load_snapshot(hub, warehouse, kind, day, snapshot_parts(hub, kind, day))
        if lost := check_newest_feed(hub, kind, share=settings.feed_loss).lost:
            raise RecsysError(f"{lost}.")
    report = load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
    mirror_rejected(hub, warehouse, f"{LANDING}/")
    if broken := account(warehouse).broken_sentence:
        raise RecsysError(f"{broken}.")
    return report


def _fetch_attributes(settings: Settings, hub: Hub, kind: Attributes) -> None:
    endpoint, today = endpoint_of(settings, kind), utc_today()
    if endpoint:
        store_fetched(hub, kind, today, endpoint, fetch_snapshot(endpoint, last_fetch(hub, kind, endpoint)))
        snapshot_drift(hub, kind, today)


def transform(settings: Settings, warehouse: Warehouse, select: Sequence[str] = ()) -> None:
    """Build the dbt models and run their tests. `select`: selectors of dbt for some models; the others follow in a later build."""
    warehouse.ensure_salt(settings.plain_salt)
    with environment_for_dbt(settings):
        build(settings.home / "dbt", select)
    lost = [day for day in conserved_events(warehouse) if day.lost]
    if lost:
        raise RecsysError(
            f"Accepted records are missing in the marts, first of {lost[0].arrived_on}: `recsys run --all`."
        )


def keep_training_data(hub: Hub, warehouse: Warehouse) -> Dataset:
    """Keep the marts that models learn from as Parquet in the hub, and read them."""
    day = warehouse.frame(training_data.NEWEST_DAY)["day"][0].as_py() or utc_today()
    training_data.write_snapshot(hub, day, training_data.marts_of(warehouse))
    return training_data.latest_dataset(hub)


def learn(
    data: Dataset, own: Variants, hub: Hub, warehouse: Warehouse, registry: Registry, rollout: Rollout | None = None
) -> dict[str, str]:
    """Evaluate and train every variant of a world, and let the gate decide what goes live; the version of each variant.

    `rollout`: by which another recipe goes live; at once without one.
    """
    variants, live = live_recipe(own, registry)
    now, held = naive_utc_now(), choice_in_force(registry, data)
    with _log_and_go_on("Nothing was evaluated", DataError):
        result = evaluate_variants(data, variants=variants, params=EVALUATION, live=live)
        store_evaluation(result, data.fingerprint(), warehouse, now)
        hub.put(REPORT, _evaluation_report(result, data, variants, now).encode())
    measured = stored_results(data.fingerprint(), warehouse)
    versions = {}
    for name in own:
        metrics = measured.metrics(name) if measured and name in measured.models else {}
        with _log_and_go_on(f"{name} was not trained", NothingToLearnError):
            versions[name] = train(name, data, registry, variants=own, now=now, metrics=metrics).version
    candidates, by_canary = candidate_versions(data, variants, live, registry, now), rollout is not None
    done = apply_gate(candidates, live, measured, registry, GateParams(), choice=held, by_canary=by_canary)
    if rollout and done.winner:
        with _log_and_go_on(
            "No canary was started", RecsysError
        ):  # what is live goes on, and the next refresh tries again
            rollout.start_after_gate(candidates[done.winner.candidate], done.winner.reasons[0])
    return versions


@contextmanager
def _log_and_go_on(what: str, kind: type[RecsysError]) -> Iterator[None]:
    """Go on after an error that concerns this block alone, as the asset of the same step does; it is logged."""
    try:
        yield
    except kind as error:
        _LOG.warning("%s: %s", what, error)


def publish_for_gateways(settings: Settings, hub: Hub, warehouse: Warehouse, registry: Registry) -> Publication:
    """Publish the lists of the models that have a role now, made of what they learned from, and write what gateways serve."""
    length, rules, variants = settings.list_length, list_rules_of(settings), variants_of(settings)
    marts, now = training_data.latest_snapshot(hub), naive_utc_now()
    published = publish(marts, registry, warehouse, list_length=length, now=now, rules=rules, variants=variants)
    write_serving_files(settings.serving_root, warehouse=warehouse, marts=marts, registry=registry, rules=rules)
    return published


def _evaluation_report(result: Evaluation, data: Dataset, variants: Variants, now: dt.datetime) -> str:
    return evaluation_page(
        result,
        plot=evaluation_plot(result),
        baseline=BASELINE,
        data_hash=data.fingerprint(),
        recipes={name: variant.recipe(variants) for name, variant in variants.items()},
        window=data.window,
        now=now,
        signal=data.signal,
    )


def export(settings: Settings, hub: Hub, warehouse: Warehouse) -> None:
    """Write the copy for readers, the daily Parquet files and the catalog."""
    if isinstance(warehouse, DuckDBWarehouse):
        write_reading_copy(warehouse, settings.analytics_path)
    for table in DAILY_TABLES:
        write_changed_days(hub, warehouse, table)
    record_tables(hub, LocalCatalog(hub))
