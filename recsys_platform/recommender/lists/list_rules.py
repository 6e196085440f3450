"""The list rules, from one YAML file: exclusions, reranking, exploration.

Belongs here: reading and validating that file. Does not: applying the rules (rules.py, reranking.py, exploration.py), building lists
(list_builder.py).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from recsys_platform.common.strict_yaml import read_yaml
from recsys_platform.recommender.errors import ListRulesError
from recsys_platform.recommender.lists.reranking import POOL
from recsys_platform.recommender.lists.rules import Rules

DEFAULTS = files("recsys_platform").joinpath("config", "list_rules.yaml")
BookId = Annotated[str, StringConstraints(strict=True, min_length=1)]
"""Strict, because YAML silently reads 0042 as the number 34."""
Count = Annotated[int, Field(ge=1, strict=True)]


@dataclass(frozen=True)
class Promotion:
    """A book and its rank, from 1, in every list that may hold it."""

    book_id: BookId
    rank: Count


@dataclass(frozen=True)
class RerankingRules:
    """How candidates become a list; as `Reranking`, with book ids."""

    diversity: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    most_of_a_category: Count | None = None
    promoted: tuple[Promotion, ...] = ()
    pool: Count = POOL


@dataclass(frozen=True)
class Exploration:
    """`slots`: ranks of a live list that are filled at random, from the remaining books of a reader's list of length `pool`."""

    slots: tuple[Count, ...] = ()
    pool: Count = POOL


@dataclass(frozen=True)
class ListRules:
    """All rules for lists, besides scores and data. `exclude`: ids of books that no reader is offered."""

    rules: Rules = field(default_factory=Rules)
    exclude: tuple[BookId, ...] = ()
    reranking: RerankingRules = field(default_factory=RerankingRules)
    exploration: Exploration = field(default_factory=Exploration)


_SECTIONS = {"rules": Rules, "reranking": RerankingRules, "exploration": Exploration}


def load_list_rules(path: Path | None = None) -> ListRules:
    """Read the rules of a file, or the default ones. Raises ListRulesError, which says what is wrong where."""
    where = Path(str(path or DEFAULTS))
    try:
        content = read_yaml(where)
    except (OSError, ValueError) as error:
        raise ListRulesError(f"The list rules cannot be read from {where}: {error}.") from error
    return parse_list_rules({} if content is None else content, where=str(where))


def parse_list_rules(content: Any, *, where: str = "The list rules") -> ListRules:
    """Validate the content of a YAML file as list rules. ListRulesError if anything is unknown, invalid or contradictory."""
    _reject_unknown(content, ListRules, where)
    values = {name: value for name, value in content.items() if value is not None}
    for name in values.keys() & _SECTIONS.keys():
        _reject_unknown(values[name], _SECTIONS[name], f"{where}: {name}")
    for number, each in enumerate(_promoted_entries(values)):
        _reject_unknown(each, Promotion, f"{where}: reranking.promoted, entry {number + 1},")
    try:
        rules = TypeAdapter(ListRules).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ListRulesError(f"{where}, {_location_text(first['loc'])}: {_error_text(first)}.") from error
    _reject_contradictions(rules, where)
    return rules


def _promoted_entries(values: Mapping[str, Any]) -> list[Any]:
    found = values.get("reranking", {}).get("promoted")
    return found if isinstance(found, list) else []


def _reject_unknown(content: Any, kind: type[Any], where: str) -> None:
    known = ", ".join(each.name for each in fields(kind))
    if not isinstance(content, dict):
        raise ListRulesError(f"{where} must be a mapping with the names {known}, not {content!r}.")
    if unknown := sorted(map(str, content.keys() - {each.name for each in fields(kind)})):
        raise ListRulesError(f"{where} has the unknown name {unknown[0]!r}: use one of {known}.")


def _location_text(loc: tuple[int | str, ...]) -> str:
    """Location as text: `reranking.promoted, entry 1, rank`; entries are counted from 1."""
    parts = [f", entry {part + 1}, " if isinstance(part, int) else f".{part}" for part in loc]
    return "".join(parts).replace(", .", ", ").strip("., ")


def _error_text(error: Any) -> str:
    if error["type"] == "string_type":
        return f"a book id must be text: write {str(error['input'])!r} with quotes"
    values = str(error["msg"]).replace("a valid tuple", "a list")
    return f"{values[0].lower()}{values[1:]}, not {error['input']!r}"


def _reject_contradictions(rules: ListRules, where: str) -> None:
    promoted = rules.reranking.promoted
    if both := sorted({each.book_id for each in promoted} & set(rules.exclude)):
        raise ListRulesError(f"{where}: {both[0]} is both promoted and excluded: remove one of them.")
    if book := _first_duplicate([each.book_id for each in promoted]):
        raise ListRulesError(f"{where}: {book} is promoted twice: give it one rank.")
    if rank := _first_duplicate([each.rank for each in promoted]):
        raise ListRulesError(f"{where}: two books are promoted to rank {rank}: give each its own rank.")
    if slots := sorted({each.rank for each in promoted} & set(rules.exploration.slots)):
        raise ListRulesError(f"{where}: rank {slots[0]} is both promoted and an exploration slot: remove one of them.")


def _first_duplicate(values: list[Any]) -> Any:
    return next((value for value, count in Counter(values).items() if count > 1), None)
