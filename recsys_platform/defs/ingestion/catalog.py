"""The catalogue of the hub, and the check that tells how its tables' fields changed."""

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from recsys_platform.catalog.discovery import find_strays
from recsys_platform.catalog.schema_history import Recorded, changes, record_tables
from recsys_platform.catalog.tables import LocalCatalogue, Table
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.hub.object_store import Hub

CATALOGUE = dg.AssetKey(["hub", "catalogue"])
SOURCES = (
    ["landing", "engagement_events"],
    ["landing", "user_attributes"],
    ["landing", "book_attributes"],
    ["curated", "fct_events"],
    ["curated", "fct_sessions"],
    ["training", "interactions"],
)
_TOLD = 20  # strays that are named
_CHECK = "fields_are_those_of_the_day_before"


@dg.asset(
    key=CATALOGUE,
    deps=[dg.AssetKey(key) for key in SOURCES],
    group_name="curated",
    kinds={"json"},
    automation_condition=NIGHTLY,
    check_specs=[dg.AssetCheckSpec(_CHECK, asset=CATALOGUE, description="No field came, went or changed its type.")],
)
def catalogue(
    context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Every landing and curated table of the hub with its fields, partitions and figures, from a sample: `catalogue/` in the hub.

    Where `RECSYS_GLUE_DATABASE` is set, Glue is told of them too.
    """
    try:
        recorded = record_tables(hub, LocalCatalogue(hub))
        told = _mirrored(hub, recorded, settings.glue_database)
        strays = find_strays(hub)
    except RecsysError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if strays:
        context.log.warning(
            f"{len(strays)} objects are no part of a snapshot or a curated day, and are not read: {strays[0]}, …"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(recorded),
            "tables": _overview(recorded),
            "not_read": strays[:_TOLD],
            **told,
        },
        check_results=[_judged(recorded)],
    )


def _mirrored(hub: Hub, recorded: Sequence[Recorded], database: str | None) -> dict[str, int]:
    """What Glue was told, in numbers; nothing where there is none."""
    if database is None:
        return {}
    from recsys_platform.catalog.glue import GlueDatabase  # boto3 costs half a second, which a laptop need not pay

    changes = GlueDatabase(database).mirror(hub, [each.table for each in recorded])
    return {f"glue_{name}": number for name, number in asdict(changes).items()}


def _overview(recorded: Sequence[Recorded]) -> dg.TableMetadataValue:
    rows = [dg.TableRecord(dict(zip(_OVERVIEW, _figures(each.table), strict=True))) for each in recorded]
    return dg.MetadataValue.table(rows, schema=_table_schema(_OVERVIEW, "int"))


def _figures(table: Table) -> tuple[str | int, ...]:
    sizes = len(table.columns), len(table.fields), len(table.partitions), table.objects, table.size_bytes
    return table.name, table.version, *sizes, table.sample.records


def _judged(recorded: Sequence[Recorded]) -> dg.AssetCheckResult:
    """A sentence for each table that changed, and every change as a row."""
    changed = [each.sentence() for each in recorded if each.drift]
    rows = [dg.TableRecord(dict(zip(_CHANGES, row, strict=True))) for row in changes(recorded)]
    return dg.AssetCheckResult(
        passed=not changed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"changes": dg.MetadataValue.table(rows, schema=_table_schema(_CHANGES, "string"))},
        description=". ".join(changed) or f"The fields of {len(recorded)} tables are those of the day before",
    )


_OVERVIEW = ("table", "version", "columns", "fields", "days", "objects", "bytes", "sampled_records")
_CHANGES = ("table", "change", "field", "types")


def _table_schema(names: Sequence[str], kind: str) -> dg.TableSchema:
    """A schema whose first column is text and whose others are of a type."""
    first, *others = names
    return dg.TableSchema([dg.TableColumn(first, "string"), *(dg.TableColumn(name, kind) for name in others)])
