"""How lists are made, from one YAML file: what is left out, how they are put together, what is tried out.

Belongs here: reading and checking that file. Does not: what the rules do (rules.py, reranking.py, exploration.py), making lists by
them (list_builder.py).
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
"""Strict: YAML reads 0042 as 34 and says nothing."""
Count = Annotated[int, Field(ge=1, strict=True)]


@dataclass(frozen=True)
class Promotion:
    """A book and the rank, from 1, at which it stands in every list that may hold it."""

    book_id: BookId
    rank: Count


@dataclass(frozen=True)
class Order:
    """How a list is put together, as `Reranking`, with ids for books."""

    diversity: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    most_of_a_category: Count | None = None
    promoted: tuple[Promotion, ...] = ()
    pool: Count = POOL


@dataclass(frozen=True)
class Exploration:
    """`slots`: ranks of a live answer that are filled by chance, from the books of a reader's list of `pool` that are left over."""

    slots: tuple[Count, ...] = ()
    pool: Count = POOL


@dataclass(frozen=True)
class ListRules:
    """All that lists follow from besides scores and data. `exclude`: ids of books that nobody is offered."""

    rules: Rules = field(default_factory=Rules)
    exclude: tuple[BookId, ...] = ()
    reranking: Order = field(default_factory=Order)
    exploration: Exploration = field(default_factory=Exploration)


_SECTIONS = {"rules": Rules, "reranking": Order, "exploration": Exploration}


def load_list_rules(path: Path | None = None) -> ListRules:
    """The rules of a file, or those that come with the platform; ListRulesError says in one sentence what is wrong with which."""
    where = Path(str(path or DEFAULTS))
    try:
        given = read_yaml(where)
    except (OSError, ValueError) as error:
        raise ListRulesError(f"The list rules cannot be read from {where}: {error}.") from error
    return list_rules_of({} if given is None else given, where=str(where))


def list_rules_of(given: Any, *, where: str = "The list rules") -> ListRules:
    """The rules of what a YAML file holds; ListRulesError if anything in it is unknown, wrong or contradicts the rest."""
    _refuse_unknown(given, ListRules, where)
    said = {name: value for name, value in given.items() if value is not None}
    for name in said.keys() & _SECTIONS.keys():
        _refuse_unknown(said[name], _SECTIONS[name], f"{where}: {name}")
    for number, each in enumerate(_promoted(said)):
        _refuse_unknown(each, Promotion, f"{where}: reranking.promoted, entry {number + 1},")
    try:
        rules = TypeAdapter(ListRules).validate_python(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise ListRulesError(f"{where}, {_place(first['loc'])}: {_complaint(first)}.") from error
    _refuse_contradictions(rules, where)
    return rules


def _promoted(said: Mapping[str, Any]) -> list[Any]:
    found = said.get("reranking", {}).get("promoted")
    return found if isinstance(found, list) else []


def _refuse_unknown(given: Any, kind: type[Any], where: str) -> None:
    known = ", ".join(each.name for each in fields(kind))
    if not isinstance(given, dict):
        raise ListRulesError(f"{where} should hold names with values, of {known}, not {given!r}.")
    if unknown := sorted(map(str, given.keys() - {each.name for each in fields(kind)})):
        raise ListRulesError(f"{where} has the unknown name {unknown[0]!r}: there are {known}.")


def _place(loc: tuple[int | str, ...]) -> str:
    """`reranking.promoted, entry 1, rank`: entries are counted from 1, as people do."""
    parts = [f", entry {part + 1}, " if isinstance(part, int) else f".{part}" for part in loc]
    return "".join(parts).replace(", .", ", ").strip("., ")


def _complaint(error: Any) -> str:
    if error["type"] == "string_type":
        return f"a book's id is a text: write {str(error['input'])!r} with its quotes"
    said = str(error["msg"]).replace("a valid tuple", "a list")
    return f"{said[0].lower()}{said[1:]}, not {error['input']!r}"


def _refuse_contradictions(rules: ListRules, where: str) -> None:
    promoted = rules.reranking.promoted
    if both := sorted({each.book_id for each in promoted} & set(rules.exclude)):
        raise ListRulesError(f"{where}: {both[0]} is promoted and excluded; it can be one of them.")
    if book := _twice([each.book_id for each in promoted]):
        raise ListRulesError(f"{where}: {book} is promoted twice; it has one rank.")
    if rank := _twice([each.rank for each in promoted]):
        raise ListRulesError(f"{where}: two books are promoted to rank {rank}; it holds one.")
    if slots := sorted({each.rank for each in promoted} & set(rules.exploration.slots)):
        raise ListRulesError(f"{where}: rank {slots[0]} is promoted and a slot of exploration; it can be one of them.")


def _twice(values: list[Any]) -> Any:
    return next((value for value, count in Counter(values).items() if count > 1), None)
