"""What `recsys status` prints, and the overview at the end of `recsys run`."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.cli.output.formats import age_text, megabytes, minute_of
from recsys_platform.common.clock import utc_now
from recsys_platform.config.settings import Settings
from recsys_platform.reports.overview import Overview, overview
from recsys_platform.warehouse.port import Warehouse

if TYPE_CHECKING:  # imports Dagster, which takes seconds
    from recsys_platform.defs.automation.state import State

MAX_REASONS = 5
"""Reasons of rejection listed on one line; the others are summed."""


def print_overview(out: Console, settings: Settings, warehouse: Warehouse) -> None:
    """Print the figures of a world: loaded, rejected, item catalog, quality, live lists."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, text in _overview_rows(overview(warehouse)):
        table.add_row(name, escape(text))
    doors = "`make dev` (Dagster UI) · `make serve` (API) · `recsys report` (KPIs) · `make docs` (marts)"
    table.add_row("look next", f"{doors} · {settings.warehouse_place}")
    out.print(table)


def print_running(out: Console, state: "State") -> None:
    """Print the runs in progress."""
    now = utc_now()
    for job, since in state.running:
        out.print(f"[cyan]running:[/] {escape(job)}, for {age_text(now - since)}")


def print_warehouse_in_use(out: Console, copy: Path) -> bool:
    """Say that a run is writing the warehouse and what the figures come from; returns whether there is a copy to read."""
    in_use = "A run is writing the warehouse."
    if copy.exists():
        copied_at = dt.datetime.fromtimestamp(copy.stat().st_mtime, dt.UTC)
        out.print(f"{in_use} The figures are those of {minute_of(copied_at)}, from {copy}.", soft_wrap=True)
    else:
        out.print(
            f"{in_use} Its figures can be read when the run is over; later runs leave a copy that can be read at all times."
        )
    return copy.exists()


def print_state(out: Console, state: "State") -> None:
    """Print freshness by layer, sensors and schedules on or off, and failed checks."""
    table = Table("layer", "newest", "age", "assets", "never made", box=None, header_style="dim")
    now = utc_now()
    for layer in state.layers:
        age = age_text(now - layer.newest) if layer.newest else ""
        table.add_row(layer.name, minute_of(layer.newest), age, str(layer.assets), str(layer.missing))
    out.print(table)
    out.print(
        "  ".join(f"{name}: [{'green' if on else 'yellow'}]{'on' if on else 'off'}[/]" for name, on in state.switches)
    )
    for sentence in state.failed_checks:
        out.print(f"[bold red]failed check:[/] {escape(sentence)}", soft_wrap=True)


def print_disk_usage(out: Console, parts: Sequence[tuple[str, int]]) -> None:
    """Print the size on disk of each part of a world."""
    total = sum(size for _, size in parts)
    listed = ", ".join(f"{name} {megabytes(size)}" for name, size in parts)
    out.print(
        f"on disk: {megabytes(total)} ({listed}); `recsys cleanup --dry-run` lists what is past its retention",
        soft_wrap=True,
    )


def _overview_rows(found: Overview) -> list[tuple[str, str]]:
    reasons = "; ".join(f"{reason} {count:,}" for reason, count in _most_frequent(found.reasons))
    return [
        ("landed", f"{found.records:,} records in {found.objects:,} objects; newest load {minute_of(found.last_load)}"),
        (
            "accepted",
            f"{found.accepted:,} = {found.distinct_events:,} distinct events + {found.duplicates:,} duplicates"
            f" + {found.invalid:,} invalid",
        ),
        ("rejected", f"{found.rejected:,}{f' ({reasons})' if reasons else ''}"),
        ("events", _event_span(found)),
        ("item catalog", f"{found.readers:,} readers, {found.books:,} books"),
        ("quality", _ndcg_by_model(found)),
        ("live", found.live_model or "no model yet"),
        ("published", _published_rows(found)),
    ]


def _event_span(found: Overview) -> str:
    if not (found.first_event and found.last_event):
        return "none yet"
    return f"{found.first_event:%Y-%m-%d} to {found.last_event:%Y-%m-%d}"


def _published_rows(found: Overview) -> str:
    if not found.live:
        return "nothing yet"
    return f"{found.live}: " + ", ".join(f"{rows:,} {name}" for name, rows in found.published)


def _most_frequent(reasons: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The most frequent reasons, and all others as one, so that the numbers add up."""
    if len(reasons) <= MAX_REASONS:
        return list(reasons)
    others = reasons[MAX_REASONS - 1 :]
    return [*reasons[: MAX_REASONS - 1], (f"{len(others)} other reasons", sum(count for _, count in others))]


def _ndcg_by_model(found: Overview) -> str:
    if not found.quality:
        return "not measured yet"
    by_name = dict(found.quality)
    best = max(by_name, key=by_name.__getitem__)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in found.quality)
    ratio = f": {best} is {by_name[best] / by_name['popularity']:.1f} × popularity" if by_name.get("popularity") else ""
    verb, held_out = found.quality_task
    how = f" ({held_out})" if held_out else ""
    return (
        f"NDCG@{found.quality_k} on what {found.test_readers:,} readers with history {verb} next: {figures}{ratio}{how}"
    )
