"""The recommendations of one reader: the published list of the live model, with titles.

Belongs here: reading published tables and marts for one reader. Does not: building lists (recommender/lists/), printing them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recsys_platform.common.errors import WarehouseError
from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.choosers import chooser_text
from recsys_platform.warehouse.port import Warehouse

_LIVE = "select model, model_version, chosen_by, why from published.model_roles where is_live"
_READER = "select user_id, language, country, tier from marts.dim_users where user_id = ?"
_HISTORY = read_sql("recsys_platform.reports", "reader_history")
_LIST = read_sql("recsys_platform.reports", "reader_list")
_POPULAR = read_sql("recsys_platform.reports", "popular_books")
_PUBLISHED = read_sql("recsys_platform.reports", "is_published")

_NOT_PUBLISHED = "No recommendations are published yet: run `recsys run`."


@dataclass(frozen=True)
class ReaderRecommendations:
    """A reader's recommendations. `reader`: attributes, None for an unknown reader. `source`: the list's origin, for people.

    `books`: best first.
    """

    reader: Mapping[str, Any] | None
    model_version: str
    chosen: str
    source: str
    books: Sequence[Mapping[str, Any]]


def recommendations_for(
    warehouse: Warehouse, user_id: str, *, length: int, language: str | None = None
) -> ReaderRecommendations:
    """The list of a reader, or the popular books for an unknown one.

    `language`: of an unknown reader, if the app knows it. Raises `WarehouseError` if nothing was published yet.
    """
    if not warehouse.frame(_PUBLISHED)["n"][0].as_py():
        raise WarehouseError(_NOT_PUBLISHED)
    live = next(iter(warehouse.frame(_LIVE).to_pylist()), None)
    if live is None:
        raise WarehouseError(_NOT_PUBLISHED)
    chosen = f"chosen by {chooser_text(live['chosen_by'])}: {live['why']}"
    found = warehouse.frame(_READER, [user_id]).to_pylist()
    reader = {**found[0], **warehouse.frame(_HISTORY, [user_id]).to_pylist()[0]} if found else None
    books = warehouse.frame(_LIST, [user_id, live["model"], length]).to_pylist()
    source = f"the list of {live['model_version']}"
    if not books:
        source, books = _popular_books(warehouse, (reader or {}).get("language") or language, length)
    return ReaderRecommendations(reader, live["model_version"], chosen, source, books)


def _popular_books(warehouse: Warehouse, language: str | None, length: int) -> tuple[str, list[dict[str, Any]]]:
    """The popular books of a language, or of all languages if it has none; with their origin."""
    tag = primary_subtag(language) if language else None
    for segment in ([f"language={tag}"] if tag else []) + ["all"]:
        books = warehouse.frame(_POPULAR, [segment, length]).to_pylist()
        if books:
            return f"popular_books, segment {segment}", books
    return "popular_books, which is empty", []
