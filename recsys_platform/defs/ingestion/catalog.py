"""The data catalog of the hub as an asset, with a check for schema drift."""

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from recsys_platform.catalog.discovery import find_strays
from recsys_platform.catalog.schema_history import RecordedTable, drift_rows, record_tables
from recsys_platform.catalog.tables import LocalCatalog, Table
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.hub.object_store import Hub

CATALOG = dg.AssetKey(["hub", "catalogue"])
SOURCES = (
    ["landing", "engagement_events"],
    ["landing", "user_attributes"],
    ["landing", "book_attributes"],
    ["curated", "fct_events"],
    ["curated", "fct_sessions"],
    ["training", "interactions"],
)
_MOST_SHOWN = 20  # misplaced objects in the metadata
_CHECK = "fields_are_those_of_the_day_before"


@dg.asset(
    key=CATALOG,
    deps=[dg.AssetKey(key) for key in SOURCES],
    group_name="curated",
    kinds={"json"},
    automation_condition=NIGHTLY,
    check_specs=[
        dg.AssetCheckSpec(_CHECK, asset=CATALOG, description="No field was added, removed or changed its type.")
    ],
)
def catalog(
    context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Every landing and curated table of the hub with its fields, partitions and figures, from a sample, in `catalogue/`.

    If `RECSYS_GLUE_DATABASE` is set, the tables are registered in Glue too.
    """
    try:
        recorded = record_tables(hub, LocalCatalog(hub))
        glue_changes = _mirror_to_glue(hub, recorded, settings.glue_database)
        strays = find_strays(hub)
    except RecsysError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if strays:
        context.log.warning(
            f"{len(strays)} objects are not part of a snapshot or a curated day and are ignored: {strays[0]}, …"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(recorded),
            "tables": _tables_metadata(recorded),
            "not_read": strays[:_MOST_SHOWN],
            **glue_changes,
        },
        check_results=[_drift_check(recorded)],
    )


def _mirror_to_glue(hub: Hub, recorded: Sequence[RecordedTable], database: str | None) -> dict[str, int]:
    """Register the tables in Glue, if a database is set; returns the numbers of changes."""
    if database is None:
        return {}
    from recsys_platform.catalog.glue import GlueDatabase  # importing boto3 takes half a second

    changes = GlueDatabase(database).mirror(hub, [each.table for each in recorded])
    return {f"glue_{name}": number for name, number in asdict(changes).items()}


def _tables_metadata(recorded: Sequence[RecordedTable]) -> dg.TableMetadataValue:
    rows = [dg.TableRecord(dict(zip(_OVERVIEW, _table_row(each.table), strict=True))) for each in recorded]
    return dg.MetadataValue.table(rows, schema=_table_schema(_OVERVIEW, "int"))


def _table_row(table: Table) -> tuple[str | int, ...]:
    sizes = len(table.columns), len(table.fields), len(table.partitions), table.objects, table.size_bytes
    return table.name, table.version, *sizes, table.sample.records


def _drift_check(recorded: Sequence[RecordedTable]) -> dg.AssetCheckResult:
    """The check's result: a sentence for each table that changed, and every change as a row."""
    changed = [each.sentence() for each in recorded if each.drift]
    rows = [dg.TableRecord(dict(zip(_CHANGES, row, strict=True))) for row in drift_rows(recorded)]
    return dg.AssetCheckResult(
        passed=not changed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"changes": dg.MetadataValue.table(rows, schema=_table_schema(_CHANGES, "string"))},
        description=". ".join(changed) or f"The fields of {len(recorded)} tables are those of the day before",
    )


_OVERVIEW = ("table", "version", "columns", "fields", "days", "objects", "bytes", "sampled_records")
_CHANGES = ("table", "change", "field", "types")


def _table_schema(names: Sequence[str], kind: str) -> dg.TableSchema:
    """A table schema: the first column is a string, the others have one type."""
    first, *others = names
    return dg.TableSchema([dg.TableColumn(first, "string"), *(dg.TableColumn(name, kind) for name in others)])
