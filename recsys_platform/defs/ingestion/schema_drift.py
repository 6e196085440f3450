"""Warnings about added, removed and retyped fields of attribute snapshots."""

import datetime as dt

import dagster as dg

from recsys_platform.catalog.json_schema import Drift
from recsys_platform.catalog.snapshot_drift import SnapshotDrift, snapshot_drift
from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub


def drift_metadata(hub: Hub, kind: Attributes, day: dt.date) -> dict[str, str]:
    """The schema drift of a day's snapshot as asset metadata, or the reason why it cannot be compared."""
    try:
        found = snapshot_drift(hub, kind, day)
    except HubError as error:
        return {"schema_drift": str(error)}
    return {"schema_drift": found.sentence()} if found else {}


def _fields_check(kind: Attributes) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=["landing", kind],
        name="has_the_fields_of_the_day_before",
        description="The newest snapshot has the same fields of the same types as the one before. Warns, never blocks.",
    )
    def fields(hub: dg.ResourceParam[Hub]) -> dg.AssetCheckResult:
        try:
            found = snapshot_drift(hub, kind)
        except HubError as error:
            return _check_result(False, str(error))
        if found is None:
            return _check_result(True, f"there is no {kind} snapshot yet")
        return _check_result(not found.drift, found.sentence(), found)

    return fields


def _check_result(passed: bool, sentence: str, found: SnapshotDrift | None = None) -> dg.AssetCheckResult:
    drift = found.drift if found else Drift()
    metadata = {
        "added": dg.MetadataValue.json(list(drift.added)),
        "removed": dg.MetadataValue.json(list(drift.removed)),
        "retyped": dg.MetadataValue.json({path: list(kinds) for path, kinds in drift.retyped.items()}),
    }
    severity = dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(passed=passed, severity=severity, description=sentence, metadata=metadata)


user_attributes_fields = _fields_check("user_attributes")
book_attributes_fields = _fields_check("book_attributes")
