"""What the commands print: one screen, figures first, and where to look next."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.config.settings import Settings
from recsys_platform.reports.overview import Overview, overview
from recsys_platform.warehouse.port import Warehouse

if TYPE_CHECKING:  # they bring Dagster along, which takes seconds
    from recsys_platform.defs.automation.run import RunReport
    from recsys_platform.defs.automation.state import State
    from recsys_platform.sources.event_import import ImportSummary

MOST_REFUSED = 10

_REASONS = 5
"""How many reasons of rejections one line tells."""


def print_report(out: Console, report: "RunReport") -> None:
    """What this run did, or that there was nothing to do."""
    loaded = report.loaded
    if not report.steps:
        out.print("Nothing new: 0 objects loaded, no table changed; every layer is newer than the data it is made of.")
        out.print(
            "Recipes, list rules and SQL that changed are noticed; after other changes of code or settings: `recsys run --all`."
        )
    elif not report.failures:
        made = f"{_count(report.assets, 'asset')} made in {_count(len(report.steps), 'run')}."
        out.print(f"{_loaded(loaded)} {made}")
    for sentence in dict.fromkeys(report.warnings):
        out.print(f"[yellow]warning:[/] {escape(sentence)}", soft_wrap=True)
    for sentence in dict.fromkeys(report.failures):
        out.print(f"[bold red]failed:[/] {escape(sentence)}", soft_wrap=True)
    if report.failures:
        out.print("Stopped there: nothing further down was changed. `make dev` shows the run.")


def _loaded(loaded: Mapping[str, int]) -> str:
    if not loaded["objects"]:
        return "No new landing objects;"
    return (
        f"Loaded {_count(loaded['objects'], 'new object')}: {_count(loaded['records'], 'record')}, "
        f"{loaded['accepted']:,} accepted, {loaded['rejected']:,} rejected;"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def print_overview(out: Console, settings: Settings, warehouse: Warehouse) -> None:
    """The figures of the world."""
    found = overview(warehouse)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, text in _lines(found):
        table.add_row(name, escape(text))
    table.add_row(
        "look next", f"`recsys status` · `make dev` (Dagster UI) · `make docs` (marts) · {settings.warehouse_place}"
    )
    out.print(table)


def print_running(out: Console, state: "State") -> None:
    """The runs that are under way."""
    now = dt.datetime.now(dt.UTC)
    for job, since in state.running:
        out.print(f"[cyan]running:[/] {escape(job)}, for {_age(now - since)}")


def print_held(out: Console, copy: Path) -> bool:
    """That a run writes the warehouse, and of when the figures are; whether there is a copy to read them from."""
    held = "A run is writing the warehouse."
    if copy.exists():
        made = dt.datetime.fromtimestamp(copy.stat().st_mtime, dt.UTC)
        out.print(f"{held} The figures are those of {_minute(made)}, from {copy}.", soft_wrap=True)
    else:
        out.print(
            f"{held} Its figures can be read when the run is over; later runs leave a copy that can be read at all times."
        )
    return copy.exists()


def print_state(out: Console, state: "State") -> None:
    """Freshness by layer, and what is switched on."""
    table = Table("layer", "newest", "age", "assets", "never made", box=None, header_style="dim")
    now = dt.datetime.now(dt.UTC)
    for layer in state.layers:
        newest = f"{layer.newest:%Y-%m-%d %H:%M} UTC" if layer.newest else "never"
        table.add_row(
            layer.name, newest, _age(now - layer.newest) if layer.newest else "", str(layer.assets), str(layer.missing)
        )
    out.print(table)
    out.print(
        "  ".join(f"{name}: [{'green' if on else 'yellow'}]{'on' if on else 'off'}[/]" for name, on in state.switches)
    )
    for sentence in state.failed_checks:
        out.print(f"[bold red]failed check:[/] {escape(sentence)}", soft_wrap=True)


def print_disk_usage(out: Console, parts: Sequence[tuple[str, int]]) -> None:
    """What each part of a world weighs."""
    total = sum(size for _, size in parts)
    listed = ", ".join(f"{name} {megabytes(size)}" for name, size in parts)
    out.print(
        f"on disk: {megabytes(total)} ({listed}); `recsys cleanup --dry-run` says what is no longer kept",
        soft_wrap=True,
    )


def _lines(found: Overview) -> list[tuple[str, str]]:
    reasons = "; ".join(f"{reason} {count:,}" for reason, count in _summed(found.reasons))
    span = (
        f"{found.first_event:%Y-%m-%d} to {found.last_event:%Y-%m-%d}"
        if found.first_event and found.last_event
        else "none yet"
    )
    return [
        ("landed", f"{found.records:,} records in {found.objects:,} objects; newest load {_minute(found.last_load)}"),
        (
            "accepted",
            f"{found.accepted:,} = {found.distinct_events:,} distinct events + {found.duplicates:,} duplicates"
            f" + {found.invalid:,} invalid",
        ),
        ("rejected", f"{found.rejected:,}{f' ({reasons})' if reasons else ''}"),
        ("events", span),
        ("catalogue", f"{found.readers:,} readers, {found.books:,} books"),
        ("quality", _quality(found)),
        ("live", found.live_model or "no model yet"),
        (
            "published",
            f"{found.live}: " + ", ".join(f"{rows:,} {name}" for name, rows in found.published)
            if found.live
            else "nothing yet",
        ),
    ]


def _summed(reasons: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The most frequent reasons, and all others as one, so that the numbers add up."""
    if len(reasons) <= _REASONS:
        return list(reasons)
    others = reasons[_REASONS - 1 :]
    return [*reasons[: _REASONS - 1], (f"{len(others)} other reasons", sum(count for _, count in others))]


def _quality(found: Overview) -> str:
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


def _minute(time: dt.datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"


def _age(age: dt.timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB"


def print_imported(out: Console, err: Console, done: "ImportSummary") -> None:
    """What an import wrote, and what it refused."""
    sources = ", ".join(f"{records:,} of {source}" for source, records in sorted(done.sources.items())) or "none"
    dropped = f"; {done.dropped:,} were dropped by their transformation" if done.dropped else ""
    new = done.objects - done.known
    known = f", {done.known:,} were there already" if done.known else ""
    out.print(
        f"{done.records:,} records ({sources}) from {done.files:,} files{dropped}; {new:,} new landing objects{known}.",
        soft_wrap=True,
    )
    for said in done.refused[:MOST_REFUSED]:
        err.print(f"[bold red]error:[/] {escape(said)}", soft_wrap=True)
    if len(done.refused) > MOST_REFUSED:
        err.print(f"… and {len(done.refused) - MOST_REFUSED:,} files more.")
