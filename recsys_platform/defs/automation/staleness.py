"""Find stale assets in the instance's event log: older than their parents, or made with another code version.

The code version covers the recipes of variants and the list rules.
"""

from collections.abc import Iterable

import dagster as dg
from dagster._core.definitions.data_version import CODE_VERSION_TAG
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from recsys_platform.defs.automation.outline import Outline


def stale_assets(outline: Outline, instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
    """The stale ones of some assets, in topological order.

    Stale is an asset that was never materialized, is older than a parent, has a stale parent, another code version than today's, or
    a failed blocking check.
    """
    wanted, failed = set(keys), failed_blocking(outline, instance)
    newest = {asset.key: _newest_materialization(instance, asset.key) for asset in outline.assets}
    made = {key: record.storage_id if record else 0 for key, record in newest.items()}
    stale: set[dg.AssetKey] = set()
    for asset in outline.assets:  # parents come first
        key, parents = asset.key, [dg.AssetKey.from_user_string(name) for name in asset.parents]
        old = made[key] == 0 or any(made[parent] > made[key] or parent in stale for parent in parents)
        if key in wanted and (old or key in failed or _code_version_of(newest[key]) != asset.code_version):
            stale.add(key)
    return [asset.key for asset in outline.assets if asset.key in stale]


def _newest_materialization(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    """The latest materialization of an asset."""
    records = instance.fetch_materializations(key, limit=1).records
    return records[0] if records else None


def _code_version_of(record: dg.EventLogRecord | None) -> str | None:
    """The code version of a materialization; None if its asset had none (Dagster then writes the run id)."""
    made = record.asset_materialization if record else None
    version = (made.tags or {}).get(CODE_VERSION_TAG) if made else None
    return None if record is None or version == record.run_id else version


def failed_blocking(outline: Outline, instance: dg.DagsterInstance) -> dict[dg.AssetKey, str]:
    """Assets whose latest blocking check failed → the run in which it failed."""
    blocking = outline.checks(blocking_only=True)
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(blocking)
    return {key.asset_key: record.run_id for key, record in records.items() if _has_failed(record, instance)}


def _has_failed(record: AssetCheckExecutionRecord, instance: dg.DagsterInstance) -> bool:
    """Whether a check failed. One that is still planned in a finished run has crashed; severity WARN does not block."""
    if record.status == AssetCheckExecutionRecordStatus.PLANNED:
        run = instance.get_run_by_id(record.run_id)
        return run is None or run.is_finished
    if record.status == AssetCheckExecutionRecordStatus.SUCCEEDED:
        return False
    event = record.event.dagster_event if record.event else None
    return event is None or event.asset_check_evaluation_data.severity == dg.AssetCheckSeverity.ERROR
