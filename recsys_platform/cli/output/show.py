"""What `recsys show` prints."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.reports.recommendations import ReaderRecommendations


def print_recommendations(out: Console, user_id: str, found: ReaderRecommendations) -> None:
    """Print who the reader is, which model is live and why, and the books with their reasons."""
    out.print(escape(f"{user_id}: {_reader_text(found.reader)}"), soft_wrap=True)
    out.print(escape(f"live: {found.model_version}, {found.chosen}"), soft_wrap=True)
    out.print(escape(f"from {found.source}:"), soft_wrap=True)
    table = Table("rank", "book", "title", "author", "why", box=None, header_style="dim")
    for book in found.books:
        row = (str(book["rank"]), book["book_id"], book["title"] or "", book["author"] or "", _reason_text(book))
        table.add_row(*map(escape, row))
    out.print(table)


def _reader_text(reader: Mapping[str, Any] | None) -> str:
    if reader is None:
        return "not in marts.dim_users: an unknown reader, who gets popular books"
    known = [f"{name} {reader[name]}" for name in ("language", "country", "tier") if reader[name]]
    read = f"interacted with {reader['books']:,} books, finished {reader['finished']:,}"
    return ", ".join([*known, read if reader["books"] else "no history: popular books in the language come first"])


def _reason_text(book: Mapping[str, Any]) -> str:
    return f"{book['reason']}, because of {book['because']}" if book["because"] else str(book["reason"])
