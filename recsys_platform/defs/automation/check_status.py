"""The newest completed evaluation of asset checks.

Dagster plans all checks of a run when it creates the run, so that for as long as it is queued or running the newest record of a check
says nothing: a failure would seem to be over, and begin again after each run.
"""

from collections.abc import Iterable

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

_COMPLETED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def completed_checks(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    """The newest completed evaluation of each check that has one."""
    storage = instance.event_log_storage
    found = dict(storage.get_latest_asset_check_execution_by_key(list(keys)))
    for key, record in list(found.items()):
        if record.status not in _COMPLETED:
            older = storage.get_asset_check_execution_history(key, limit=1, status=_COMPLETED)
            found.update({key: older[0]} if older else {})
            if not older:
                del found[key]
    return found


def severity_of(record: AssetCheckExecutionRecord) -> dg.AssetCheckSeverity:
    """The severity of a failed evaluation: ERROR if its event is gone."""
    event = record.event.dagster_event if record.event else None
    return event.asset_check_evaluation_data.severity if event else dg.AssetCheckSeverity.ERROR
