"""What `recsys show` prints."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.reports.recommendations import Offer


def print_offer(out: Console, user_id: str, offer: Offer) -> None:
    """Who it is, which model is live and why, and the books with the reason for each."""
    out.print(escape(f"{user_id}: {_who(offer.reader)}"), soft_wrap=True)
    out.print(escape(f"live: {offer.model_version}, {offer.chosen}"), soft_wrap=True)
    out.print(escape(f"from {offer.source}:"), soft_wrap=True)
    table = Table("rank", "book", "title", "author", "why", box=None, header_style="dim")
    for book in offer.books:
        row = (str(book["rank"]), book["book_id"], book["title"] or "", book["author"] or "", _why(book))
        table.add_row(*map(escape, row))
    out.print(table)


def _who(reader: Mapping[str, Any] | None) -> str:
    if reader is None:
        return "nobody of this id is in marts.dim_users: somebody unknown, who gets what is popular"
    known = [f"{name} {reader[name]}" for name in ("language", "country", "tier") if reader[name]]
    read = f"{reader['books']:,} books touched, {reader['finished']:,} finished"
    return ", ".join([*known, read if reader["books"] else "no history: what is popular in the language comes first"])


def _why(book: Mapping[str, Any]) -> str:
    return f"{book['reason']}, because of {book['because']}" if book["because"] else str(book["reason"])
