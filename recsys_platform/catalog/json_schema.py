"""What fields JSON records have, and how that changed.

Belongs here: discovering the schema of records and comparing two schemas, both pure. Does not: where the records come from.

A field is named by its path: `device.os` is inside an object, `items[].book_id` inside the objects of an array; a key that holds
a dot or a bracket itself is quoted, `"a.b"`. Types are JSON's (`string`, `integer`, `number`, `boolean`, `object`,
`array<string>`, and `array` if it was always empty); a field can hold several. Null is no type, but makes a field nullable.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 16  # objects further down are a type, but are not opened
MOST_NAMED = 20  # fields of one sort in a sentence

_ENDS = re.compile(r"\.|\[\]")  # where the name of what encloses a field may end
_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object"}


@dataclass(frozen=True)
class Field:
    """What was seen at one path: its types, whether it was ever null, and the share of records (0 to 1) that have it."""

    types: frozenset[str]
    nullable: bool
    share: float

    def told(self) -> str:
        """The types for people: `integer or string`; `null` if nothing else was seen."""
        return " or ".join(sorted(self.types)) or "null"


@dataclass(frozen=True)
class Schema:
    """The fields of some records by path, sorted, and how many records that is based on."""

    records: int
    fields: Mapping[str, Field]


@dataclass(frozen=True)
class Drift:
    """How a schema differs from the one before: paths that came, that went, and that hold a type they never held.

    `retyped` maps a path to the types before and after. Inside an object that came or went only the object is named.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)

    def sentence(self) -> str:
        """Everything in one sentence: `added: isbn; removed: author; retyped: price (integer, now string)`."""
        changed = [f"{path} ({before}, now {after})" for path, (before, after) in self.retyped.items()]
        sorts = {"added": self.added, "removed": self.removed, "retyped": changed}
        return "; ".join(f"{sort}: {_some(names)}" for sort, names in sorts.items() if names) or "the same fields"


def discover(records: Iterable[Mapping[str, Any]]) -> Schema:
    """The schema of records in one pass; memory grows with the fields, not with the records."""
    number = 0
    present: Counter[str] = Counter()
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        number += 1
        of_record: set[str] = set()
        for path, kind in _members(record, "", 0):
            of_record.add(path)
            seen[path].add(kind)
        present.update(of_record)
    fields = {path: _field(path, seen, present[path] / number) for path in sorted(present) if not path.endswith("[]")}
    return Schema(number, fields)


def drift(before: Schema, after: Schema) -> Drift:
    """What changed. Nothing, if either side has no records: there is nothing to compare with.

    A field that lost one of several types, or was null or an empty array throughout, is not retyped: who could read it still can.
    """
    if not before.records or not after.records:
        return Drift()
    both = before.fields.keys() & after.fields.keys()
    return Drift(
        added=_outermost(after.fields.keys() - both),
        removed=_outermost(before.fields.keys() - both),
        retyped={
            path: (before.fields[path].told(), after.fields[path].told())
            for path in sorted(both)
            if _retyped(before.fields[path].types, after.fields[path].types)
        },
    )


def _members(record: Mapping[str, Any], parent: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each path in an object with the type seen there; elements of arrays at the array's path + `[]`."""
    for key, value in record.items():
        yield from _value(value, parent + _quoted(key), depth)


def _value(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, list | tuple):
        yield path, "array"
        for element in value if depth < DEEPEST else ():
            yield from _value(element, f"{path}[]", depth + 1)
        return
    yield path, _TYPES.get(type(value), "null" if value is None else "string")
    if isinstance(value, dict) and depth < DEEPEST:
        yield from _members(value, f"{path}.", depth + 1)


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False) if not key or any(c in key for c in '."[]') else key


def _field(path: str, seen: Mapping[str, set[str]], share: float) -> Field:
    return Field(frozenset(_types(path, seen)), "null" in seen[path], share)


def _types(path: str, seen: Mapping[str, set[str]]) -> set[str]:
    """The types at a path, arrays named after their elements; an integer among numbers is a number."""
    kinds = seen.get(path, set()) - {"null"}
    arrays = {f"array<{kind}>" for kind in _types(f"{path}[]", seen)} if "array" in kinds else set()
    return (kinds - ({"array"} if arrays else set()) - ({"integer"} if "number" in kinds else set())) | arrays


def _retyped(before: frozenset[str], after: frozenset[str]) -> bool:
    return bool(before) and not all(_fits(kind, before) for kind in after)


def _fits(kind: str, known: Set[str]) -> bool:
    """Whether who reads the known types can read this one: an integer is a number, an empty array any array."""
    if kind in known or (kind == "integer" and "number" in known):
        return True
    if kind == "array" or "array" in known:
        return kind.startswith("array") and any(each.startswith("array") for each in known)
    elements = {each[6:-1] for each in known if each.startswith("array<")}
    return kind.startswith("array<") and _fits(kind[6:-1], elements)


def _outermost(paths: Set[str]) -> tuple[str, ...]:
    """Without the paths whose object or array is among them too."""
    return tuple(
        path for path in sorted(paths) if not any(path[: end.start()] in paths for end in _ENDS.finditer(path))
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
