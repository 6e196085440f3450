"""Which assets are older than what they are made of, read from the instance's event log.

Made of: their parents, and what their code version stands for (recipes of variants, list rules).
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
    """Of some assets those never made, made before one of their parents, from other recipes or rules than today's, under a stale
    parent, or with a failed blocking check.
    """
    wanted, failed = set(keys), failed_blocking(outline, instance)
    newest = {asset.key: _newest(instance, asset.key) for asset in outline.assets}
    made = {key: record.storage_id if record else 0 for key, record in newest.items()}
    stale: set[dg.AssetKey] = set()
    for asset in outline.assets:  # parents come first
        key, parents = asset.key, [dg.AssetKey.from_user_string(name) for name in asset.parents]
        old = made[key] == 0 or any(made[parent] > made[key] or parent in stale for parent in parents)
        if key in wanted and (old or key in failed or _made_from(newest[key]) != asset.code_version):
            stale.add(key)
    return [asset.key for asset in outline.assets if asset.key in stale]


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dg.EventLogRecord | None:
    """The newest materialization."""
    records = instance.fetch_materializations(key, limit=1).records
    return records[0] if records else None


def _made_from(record: dg.EventLogRecord | None) -> str | None:
    """The code version of a materialization, None if its asset had none (then Dagster writes the run's id)."""
    made = record.asset_materialization if record else None
    version = (made.tags or {}).get(CODE_VERSION_TAG) if made else None
    return None if record is None or version == record.run_id else version


def failed_blocking(outline: Outline, instance: dg.DagsterInstance) -> dict[dg.AssetKey, str]:
    """Assets whose newest blocking check failed → the run in which it did."""
    blocking = outline.checks(blocking_only=True)
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
