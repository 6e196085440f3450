"""Hive types (also of Glue, Athena and Spark) of discovered JSON fields and of Arrow types.

`bigint`, `double`, `boolean`, `string`, `timestamp`, `date`, `array<…>`, `struct<name:…>`. A JSON field of several types, or of none,
is a `string`, which can represent all of them. So is a time in JSON, since Hive's `timestamp` cannot parse its format.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping

import pyarrow as pa

from recsys_platform.catalog.json_schema import Field

_LAST = re.compile(r'(?:^|\.)(?P<name>"(?:[^"\\]|\\.)*"|[^."\[\]]+)$')
_BAD_IN_A_NAME = re.compile(r"[^0-9A-Za-z_$@ -]")
_JSON = {"string": "string", "boolean": "boolean", "integer": "bigint", "number": "double"}
_ARROW = {
    pa.types.is_boolean: "boolean",
    pa.types.is_int8: "tinyint",
    pa.types.is_int16: "smallint",
    pa.types.is_int32: "int",
    pa.types.is_integer: "bigint",
    pa.types.is_float32: "float",
    pa.types.is_floating: "double",
    pa.types.is_timestamp: "timestamp",
    pa.types.is_date: "date",
    pa.types.is_binary: "binary",
}
Children = Mapping[str, Mapping[str, str]]


def joined(*types: Collection[str]) -> tuple[str, ...]:
    """The union of sets of JSON types, sorted, without types that another one includes: a `number` includes `integer`."""
    kinds = {kind for some in types for kind in some}
    elements = {kind[6:-1] for kind in kinds if kind.startswith("array<")}
    plain = {kind for kind in kinds if not kind.startswith("array")}
    arrays = {f"array<{kind}>" for kind in joined(elements)} if elements else kinds & {"array"}
    return tuple(sorted((plain - ({"integer"} if "number" in plain else set())) | arrays))


def columns_of(fields: Mapping[str, Field]) -> dict[str, str]:
    """The columns of JSON records: name → Hive type; nested fields are part of their column's type."""
    children = _children_by_path(fields)
    return {name: _hive_type(path, fields[path].types, fields, children) for name, path in children.get("", {}).items()}


def arrow_type(kind: pa.DataType) -> str:
    """The Hive type of an Arrow type; `string` if Hive has none."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{arrow_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        inner = (f"{_safe_name(field.name)}:{arrow_type(field.type)}" for field in kind)
        return f"struct<{','.join(inner)}>"
    if pa.types.is_map(kind):
        return f"map<{arrow_type(kind.key_type)},{arrow_type(kind.item_type)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return next((name for fits, name in _ARROW.items() if fits(kind)), "string")


def _hive_type(path: str, types: Collection[str], fields: Mapping[str, Field], children: Children) -> str:
    if types and all(kind.startswith("array") for kind in types):
        elements = {kind[6:-1] for kind in types if kind != "array"}
        return f"array<{_hive_type(f'{path}[]', elements, fields, children)}>"
    if len(types) != 1:
        return "string"
    (kind,) = types
    inside = children.get(path, {}) if kind == "object" else {}
    inner = [f"{_safe_name(name)}:{_hive_type(at, fields[at].types, fields, children)}" for name, at in inside.items()]
    return f"struct<{','.join(inner)}>" if inner else _JSON.get(kind, "string")


def _children_by_path(fields: Collection[str]) -> Children:
    """The fields directly inside each object: path of the object → name → path of the field; the top level is the path ``."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(fields):
        match = _LAST.search(path)
        if match:
            name = match["name"]
            found[path[: match.start()]][json.loads(name) if name.startswith('"') else name] = path
    return found


def _safe_name(name: str) -> str:
    """A name without characters that are part of the type syntax."""
    return _BAD_IN_A_NAME.sub("_", name) or "_"
