"""Limits of Amazon Personalize: the schema of a data set, and every documented reason why an import or a training would fail.

Sources, all under https://docs.aws.amazon.com/personalize/latest/dg/: quotas in limits.html, schemas in
how-it-works-dataset-schema.html, fields and keywords in custom-datasets-and-schemas.html, files in data-prep-importing.html, the
length of a schema in API_CreateSchema.html.
Belongs here: schemas and their constraints. Does not: which columns are exported (personalize.py).
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["Interactions", "Users", "Items"]
Type = Literal["string", "long", "float", "int"]

REQUIRED: dict[Kind, dict[str, Type]] = {
    "Interactions": {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"},
    "Users": {"USER_ID": "string"},
    "Items": {"ITEM_ID": "string"},
}
KEYWORDS: dict[Kind, dict[str, Type]] = {
    "Interactions": {
        "EVENT_TYPE": "string",
        "EVENT_VALUE": "float",
        "IMPRESSION": "string",
        "RECOMMENDATION_ID": "string",
        "EVENT_ATTRIBUTION_SOURCE": "string",
    },
    "Users": {},
    "Items": {"CREATION_TIMESTAMP": "long"},
}
RESERVED = sorted({word for words in KEYWORDS.values() for word in words})
METADATA: dict[Kind, tuple[int, int]] = {"Interactions": (0, 5), "Users": (1, 25), "Items": (1, 100)}
"""Minimum and maximum number of metadata fields, which are neither required nor keywords."""
MAX_TYPES_AND_METADATA = 10
MAX_ID, MAX_CATEGORY, MAX_SCHEMA = 256, 1_000, 20_000
MIN_INTERACTIONS, MIN_READERS = 1_000, 25

_IDS = {"USER_ID", "ITEM_ID"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EMAIL = r"[^\s@<>|]+(@|%40)[^\s@<>|]+\.[^\s@<>|.0-9]"
Flags = Callable[[pa.ChunkedArray], pa.ChunkedArray]


@dataclass(frozen=True)
class Field:
    """One column of a data set."""

    name: str
    type: Type
    nullable: bool = False
    categorical: bool = False

    def avro(self) -> dict[str, Any]:
        """Return the field in Avro; `categorical` is an extension of Personalize."""
        avro_field: dict[str, Any] = {"name": self.name, "type": [self.type, "null"] if self.nullable else self.type}
        return avro_field | {"categorical": True} if self.categorical else avro_field


@dataclass(frozen=True)
class Schema:
    """Schema of one data set: `kind` is its name in Personalize, fields are in the order of the columns."""

    kind: Kind
    fields: tuple[Field, ...]

    def avro(self) -> str:
        """Return the schema as JSON for `CreateSchema`."""
        record = {
            "type": "record",
            "name": self.kind,
            "namespace": "com.amazonaws.personalize.schema",
            "fields": [field.avro() for field in self.fields],
            "version": "1.0",
        }
        return json.dumps(record, indent=2) + "\n"

    @property
    def metadata(self) -> list[Field]:
        """The metadata fields: neither required nor keywords."""
        known = REQUIRED[self.kind] | KEYWORDS[self.kind]
        return [field for field in self.fields if field.name not in known]


def schema_problems(schema: Schema) -> list[str]:
    """Return reasons why Personalize would reject a schema or ignore one of its fields."""
    return [*_field_problems(schema), *_name_problems(schema), *_count_problems(schema)]


def row_problems(schema: Schema, rows: pa.Table) -> list[str]:
    """Return reasons why Personalize would reject rows, or why they may identify a person; never includes a value."""
    found = [f"{schema.kind} has no rows"] if not len(rows) else []
    for field in schema.fields:
        for flags, what in _value_rules(field):
            if count := pc.sum(flags(rows[field.name])).as_py():
                found.append(f"{count:,} of the values in {schema.kind}.{field.name} {what}")
    return [*found, *_duplicate_ids(schema, rows), *_too_many_types(schema, rows)]


def training_warnings(interactions: pa.Table) -> list[str]:
    """Return reasons why Personalize would accept interactions but not train on them."""
    per_reader = Counter(interactions["USER_ID"].to_pylist())
    readers = sum(count >= 2 for count in per_reader.values())
    found = []
    if len(interactions) < MIN_INTERACTIONS:
        found.append(
            f"there are {len(interactions):,} interactions, and Personalize trains on {MIN_INTERACTIONS:,} or more"
        )
    if readers < MIN_READERS:
        found.append(f"{readers} readers have two interactions or more, and Personalize wants {MIN_READERS} of them")
    return found


def _field_problems(schema: Schema) -> Iterator[str]:
    for name in REQUIRED[schema.kind].keys() - {field.name for field in schema.fields}:
        yield f"{schema.kind} has no field {name}"
    for field in schema.fields:
        name = f"{schema.kind}.{field.name}"
        wanted, keyword = (words[schema.kind].get(field.name) for words in (REQUIRED, KEYWORDS))
        if field.type != (wanted or keyword or field.type):
            yield f"{name} must be of type {wanted or keyword}, not {field.type}"
        if wanted and field.nullable:
            yield f"{name} is required and may not be null"
        if keyword and field.categorical:
            yield f"{name} is a keyword and may not be categorical"
        if not wanted and not keyword and field.type == "string" and not field.categorical:
            yield f"{name} is text without categories, from which Personalize does not learn"


def _name_problems(schema: Schema) -> Iterator[str]:
    for field in schema.fields:
        if not _NAME.fullmatch(field.name):
            yield f"{schema.kind}.{field.name} is not a valid Avro name: use letters, digits and _"
    plain = Counter(re.sub("[^A-Za-z0-9]", "", field.name).upper() for field in schema.fields)
    for name, count in plain.items():
        if count > 1:
            yield f"{schema.kind} has {count} fields named {name}, because Personalize ignores other characters"


def _count_problems(schema: Schema) -> Iterator[str]:
    least, most = METADATA[schema.kind]
    if not least <= len(schema.metadata) <= most:
        yield f"{schema.kind} has {len(schema.metadata)} metadata fields and must have {least} to {most}"
    if len(schema.avro()) > MAX_SCHEMA:
        yield f"the schema of {schema.kind} has {len(schema.avro()):,} characters and may have {MAX_SCHEMA:,}"


def _matches_pattern(pattern: str) -> Flags:
    return lambda column: pc.match_substring_regex(column, pattern)


def _longer_than(most: int) -> Flags:
    return lambda column: pc.greater(pc.utf8_length(column), most)


def _value_rules(field: Field) -> Iterator[tuple[Flags, str]]:
    """Checks of a field's values, each with its message."""
    if not field.nullable:
        yield lambda column: column.is_null(), "are missing"
    if field.type == "float":
        yield lambda column: pc.invert(pc.is_finite(column)), "are not finite numbers"
    if field.type == "string":
        yield from _text_rules(field)


def _text_rules(field: Field) -> Iterator[tuple[Flags, str]]:
    yield _matches_pattern(_EMAIL), "look like an e-mail address"
    yield lambda column: pc.is_in(column, value_set=pa.array(RESERVED)), "are a word that Personalize reserves"
    yield _matches_pattern(r"[\r\n]"), "hold a line break"
    if field.name in _IDS:
        yield lambda column: pc.equal(column, ""), "are empty"
        yield _matches_pattern('"'), "hold a quotation mark"
        yield _longer_than(MAX_ID), f"have more than {MAX_ID} characters"
    else:
        yield _longer_than(MAX_CATEGORY), f"have more than {MAX_CATEGORY:,} characters"


def _duplicate_ids(schema: Schema, rows: pa.Table) -> Iterator[str]:
    for name in REQUIRED[schema.kind] if schema.kind != "Interactions" else ():
        if again := len(rows) - pc.count_distinct(rows[name], mode="all").as_py():
            yield f"{again:,} of the values in {schema.kind}.{name} repeat an earlier one"


def _too_many_types(schema: Schema, rows: pa.Table) -> Iterator[str]:
    if "EVENT_TYPE" in rows.column_names:
        used = pc.count_distinct(rows["EVENT_TYPE"]).as_py() + len(schema.metadata)
        if used > MAX_TYPES_AND_METADATA:
            yield f"{schema.kind} has {used} event types and metadata fields together, and may have {MAX_TYPES_AND_METADATA}"
