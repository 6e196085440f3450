"""Which assets are older than what they are made of, read from the instance's event log."""

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)


def stale_assets(graph: AssetGraph, instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
    """Of some assets those never made, made before one of their parents, under a stale parent, or with a failed blocking check."""
    wanted, failed = set(keys), failed_blocking(graph, instance)
    made: dict[dg.AssetKey, int] = {key: _last_made(instance, key) for key in graph.get_all_asset_keys()}
    stale: set[dg.AssetKey] = set()
    for key in graph.toposorted_asset_keys:
        parents = graph.get(key).parent_keys
        old = made[key] == 0 or any(made[parent] > made[key] or parent in stale for parent in parents)
        if key in wanted and (old or key in failed):
            stale.add(key)
    return [key for key in graph.toposorted_asset_keys if key in stale]


def _last_made(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """The place of the newest materialization in the event log, 0 if there is none."""
    records = instance.fetch_materializations(key, limit=1).records
    return records[0].storage_id if records else 0


def failed_blocking(graph: AssetGraph, instance: dg.DagsterInstance) -> dict[dg.AssetKey, str]:
    """Assets whose newest blocking check failed → the run in which it did."""
    blocking = [check for check in graph.asset_check_keys if graph.get(check).blocking]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(blocking)
    return {key.asset_key: record.run_id for key, record in records.items() if _has_failed(record, instance)}


def _has_failed(record: AssetCheckExecutionRecord, instance: dg.DagsterInstance) -> bool:
    """A check that was planned in a run that is over has crashed; a failed one of severity WARN does not block."""
    if record.status == AssetCheckExecutionRecordStatus.PLANNED:
        run = instance.get_run_by_id(record.run_id)
        return run is None or run.is_finished
    if record.status == AssetCheckExecutionRecordStatus.SUCCEEDED:
        return False
    event = record.event.dagster_event if record.event else None
    return event is None or event.asset_check_evaluation_data.severity == dg.AssetCheckSeverity.ERROR
