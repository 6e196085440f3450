"""Infer the schema of JSON records, and compare two schemas.

Belongs here: schema inference and drift, both pure. Does not: where the records come from.

A field is identified by its path: `device.os` is inside an object, `items[].book_id` inside the objects of an array; a key that
contains a dot or a bracket is quoted, `"a.b"`. Types are JSON's (`string`, `integer`, `number`, `boolean`, `object`,
`array<string>`, and `array` if it was always empty); a field can have several. Null is not a type; it makes a field nullable.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 16  # objects nested more deeply are not descended into
MAX_NAMED = 20  # fields of one kind in a sentence

_ENDS = re.compile(r"\.|\[\]")  # where the path of an enclosing object or array ends
_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object"}


@dataclass(frozen=True)
class Field:
    """A field: its types, whether it was ever null, and the share of records (0 to 1) that have it."""

    types: frozenset[str]
    nullable: bool
    share: float

    def type_names(self) -> str:
        """The types for people: `integer or string`; `null` if it was always null."""
        return " or ".join(sorted(self.types)) or "null"


@dataclass(frozen=True)
class Schema:
    """The fields of records by path, sorted, and the number of records."""

    records: int
    fields: Mapping[str, Field]


@dataclass(frozen=True)
class Drift:
    """The difference between two schemas: added and removed paths, and paths with a new type.

    `retyped` maps a path to the types before and after. Of an added or removed object only the object itself is listed.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)

    def sentence(self) -> str:
        """One sentence: `added: isbn; removed: author; retyped: price (integer, now string)`."""
        changed = [f"{path} ({before}, now {after})" for path, (before, after) in self.retyped.items()]
        sorts = {"added": self.added, "removed": self.removed, "retyped": changed}
        return "; ".join(f"{sort}: {_list_names(names)}" for sort, names in sorts.items() if names) or "the same fields"


def discover(records: Iterable[Mapping[str, Any]]) -> Schema:
    """Infer the schema of records in one pass; memory grows with the fields, not with the records."""
    number = 0
    present: Counter[str] = Counter()
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        number += 1
        of_record: set[str] = set()
        for path, kind in _walk_object(record, "", 0):
            of_record.add(path)
            seen[path].add(kind)
        present.update(of_record)
    fields = {
        path: _summarize_field(path, seen, present[path] / number)
        for path in sorted(present)
        if not path.endswith("[]")
    }
    return Schema(number, fields)


def drift(before: Schema, after: Schema) -> Drift:
    """The drift between two schemas; empty if either has no records.

    A field that lost one of several types, or was always null or an empty array, is not retyped: readers of it still work.
    """
    if not before.records or not after.records:
        return Drift()
    both = before.fields.keys() & after.fields.keys()
    return Drift(
        added=_outermost_paths(after.fields.keys() - both),
        removed=_outermost_paths(before.fields.keys() - both),
        retyped={
            path: (before.fields[path].type_names(), after.fields[path].type_names())
            for path in sorted(both)
            if _is_retyped(before.fields[path].types, after.fields[path].types)
        },
    )


def _walk_object(record: Mapping[str, Any], parent: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each path in an object with its type; array elements are at the array's path + `[]`."""
    for key, value in record.items():
        yield from _walk_value(value, parent + _quote_key(key), depth)


def _walk_value(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, list | tuple):
        yield path, "array"
        for element in value if depth < MAX_DEPTH else ():
            yield from _walk_value(element, f"{path}[]", depth + 1)
        return
    yield path, _TYPES.get(type(value), "null" if value is None else "string")
    if isinstance(value, dict) and depth < MAX_DEPTH:
        yield from _walk_object(value, f"{path}.", depth + 1)


def _quote_key(key: str) -> str:
    return json.dumps(key, ensure_ascii=False) if not key or any(c in key for c in '."[]') else key


def _summarize_field(path: str, seen: Mapping[str, set[str]], share: float) -> Field:
    return Field(frozenset(_types_at(path, seen)), "null" in seen[path], share)


def _types_at(path: str, seen: Mapping[str, set[str]]) -> set[str]:
    """The types at a path, with the element type of arrays; `number` includes `integer`."""
    kinds = seen.get(path, set()) - {"null"}
    arrays = {f"array<{kind}>" for kind in _types_at(f"{path}[]", seen)} if "array" in kinds else set()
    return (kinds - ({"array"} if arrays else set()) - ({"integer"} if "number" in kinds else set())) | arrays


def _is_retyped(before: frozenset[str], after: frozenset[str]) -> bool:
    return bool(before) and not all(_is_readable_as(kind, before) for kind in after)


def _is_readable_as(kind: str, known: Set[str]) -> bool:
    """Whether a reader of the known types can read this one: an integer is a number, an empty array any array."""
    if kind in known or (kind == "integer" and "number" in known):
        return True
    if kind == "array" or "array" in known:
        return kind.startswith("array") and any(each.startswith("array") for each in known)
    elements = {each[6:-1] for each in known if each.startswith("array<")}
    return kind.startswith("array<") and _is_readable_as(kind[6:-1], elements)


def _outermost_paths(paths: Set[str]) -> tuple[str, ...]:
    """The paths without those whose enclosing object or array is in the set too."""
    return tuple(
        path for path in sorted(paths) if not any(path[: end.start()] in paths for end in _ENDS.finditer(path))
    )


def _list_names(names: Iterable[str]) -> str:
    listed = list(names)
    rest = len(listed) - MAX_NAMED
    return ", ".join(listed[:MAX_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
