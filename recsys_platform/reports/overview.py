"""The key figures of a world: what was loaded and rejected, which version is live, and its measured quality."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.choosers import chooser_text
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names


@dataclass(frozen=True)
class Overview:
    """Counts over all time.

    `quality`: NDCG by model in the newest evaluation. `quality_task`: the verb it predicts, and what was held out (empty for a
    split by time). `live`: the published version; `live_model`: the model that is live in it, and why.
    """

    objects: int
    records: int
    accepted: int
    rejected: int
    distinct_events: int
    duplicates: int
    invalid: int
    readers: int
    books: int
    first_event: dt.datetime | None
    last_event: dt.datetime | None
    last_load: dt.datetime | None
    reasons: tuple[tuple[str, int], ...]
    quality: tuple[tuple[str, float], ...]
    quality_k: int
    quality_task: tuple[str, str]
    test_readers: int
    live: str | None
    live_model: str | None
    published: tuple[tuple[str, int], ...]


_LOADED = read_sql("recsys_platform.reports", "loaded")
_CONSERVED = read_sql("recsys_platform.reports", "conserved_events")
_SPAN = "select min(occurred_at) as first_event, max(occurred_at) as last_event from marts.fct_events"
_PEOPLE = "select (select count(*) from marts.dim_users) as readers, (select count(*) from marts.dim_books) as books"
_REASONS = {
    "raw.rejected_records": "select reason, count(*) as n from raw.rejected_records group by 1 order by n desc, 1",
    # in the reading copy, which has no `raw` schema
    "ops.rejected_reasons": "select reason, sum(records)::bigint as n from ops.rejected_reasons group by 1 order by n desc, 1",
}
_QUALITY = read_sql("recsys_platform.reports", "quality")
_LIVE_MODEL = "select model_version, chosen_by, chosen_at, why from published.model_roles where is_live"
_LIVE = "select version, table_name, row_count from ops.publications where is_live order by table_name"


def overview(warehouse: Warehouse) -> Overview:
    """Read all figures; a layer that was not built yet counts as zero."""
    built = relation_names(warehouse)

    def rows(sql: str, table: str) -> list[dict[str, Any]]:
        return warehouse.frame(sql).to_pylist() if table in built else []

    quality, live = rows(_QUALITY, "ops.model_evaluations"), rows(_LIVE, "ops.publications")
    nothing = {"distinct_events": 0, "duplicates": 0, "invalid": 0, "first_event": None, "last_event": None}
    return Overview(
        **warehouse.frame(_LOADED).to_pylist()[0],
        **_first_row(
            rows(_CONSERVED, "marts.rpt_event_conservation"), nothing, ("distinct_events", "duplicates", "invalid")
        ),
        **_first_row(rows(_SPAN, "marts.fct_events"), nothing, ("first_event", "last_event")),
        **_first_row(rows(_PEOPLE, "marts.dim_books"), {"readers": 0, "books": 0}, ("readers", "books")),
        reasons=tuple((row["reason"], row["n"]) for table, sql in _REASONS.items() for row in rows(sql, table)),
        quality=tuple((row["model"], row["value"]) for row in quality),
        quality_k=quality[0]["k"] if quality else 0,
        quality_task=(quality[0]["verb"], quality[0]["held_out"]) if quality else ("liked", ""),
        test_readers=quality[0]["users"] if quality else 0,
        live=live[0]["version"] if live else None,
        live_model=_live_model(rows(_LIVE_MODEL, "published.model_roles")),
        published=tuple((row["table_name"], row["row_count"]) for row in live),
    )


def _live_model(rows: list[dict[str, Any]]) -> str | None:
    """`blend-v12, chosen by the gate on 2026-11-28 11:02 UTC: …`; None if no model is marked as live yet."""
    if not rows:
        return None
    row = rows[0]
    since = f" on {row['chosen_at']:%Y-%m-%d %H:%M} UTC" if row["chosen_at"] else ""
    return f"{row['model_version']}, chosen by {chooser_text(row['chosen_by'])}{since}: {row['why']}"


def _first_row(rows: list[dict[str, Any]], default: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    row = rows[0] if rows else default
    return {name: row[name] for name in names}
