"""Data sets for Amazon Personalize (users, items, interactions): CSV files, each with its Avro schema.

Belongs here: which columns of the marts go out under which names, and where they are written. Does not: what Personalize takes
(personalize_limits.py). The data sets are those of a custom data set group:
https://docs.aws.amazon.com/personalize/latest/dg/custom-datasets-and-schemas.html.
"""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.sql_files import read_sql
from recsys_platform.exports.personalize_limits import (
    Field,
    Schema,
    row_problems,
    schema_problems,
    training_warnings,
)
from recsys_platform.hub.layout import dt_folder
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.errors import DataError
from recsys_platform.warehouse.port import Warehouse

SCHEMAS = {
    "interactions": Schema(
        "Interactions",
        (
            Field("USER_ID", "string"),
            Field("ITEM_ID", "string"),
            Field("TIMESTAMP", "long"),
            Field("EVENT_TYPE", "string"),
            Field("EVENT_VALUE", "float", nullable=True),
        ),
    ),
    "users": Schema(
        "Users",
        (
            Field("USER_ID", "string"),
            Field("COUNTRY", "string", nullable=True, categorical=True),
            Field("LANGUAGE", "string", nullable=True, categorical=True),
            Field("TIER", "string", nullable=True, categorical=True),
            Field("INTERESTS", "string", nullable=True, categorical=True),
        ),
    ),
    "items": Schema(
        "Items",
        (
            Field("ITEM_ID", "string"),
            Field("CREATION_TIMESTAMP", "long"),
            Field("GENRES", "string", nullable=True, categorical=True),
            Field("LANGUAGE", "string", nullable=True, categorical=True),
            Field("AUTHOR", "string", nullable=True, categorical=True),
            Field("READING_MINUTES", "int", nullable=True),
            Field("IS_PREMIUM", "string", nullable=True, categorical=True),  # Personalize does not learn from booleans
            Field("IS_AVAILABLE", "string", nullable=True, categorical=True),
        ),
    ),
}

# Personalize treats every interaction as positive: dislikes are not exported, nor are books that left the item catalog.
# A missing publication date becomes what Personalize would assume: the first interaction, or else the newest of all.
_QUERIES = {
    name: read_sql("recsys_platform.exports", f"personalize_{name}") for name in ("interactions", "users", "items")
}
_COLUMNS = {
    "interactions": {
        "USER_ID": "user_id",
        "ITEM_ID": "book_id",
        "TIMESTAMP": "last_at",
        "EVENT_TYPE": "last_action",
        "EVENT_VALUE": "weight",
    },
    "users": {
        "USER_ID": "user_id",
        "COUNTRY": "country",
        "LANGUAGE": "language",
        "TIER": "tier",
        "INTERESTS": "interests",
    },
    "items": {
        "ITEM_ID": "book_id",
        "CREATION_TIMESTAMP": "created_at",
        "GENRES": "categories",
        "LANGUAGE": "language",
        "AUTHOR": "author",
        "READING_MINUTES": "reading_minutes",
        "IS_PREMIUM": "is_premium",
        "IS_AVAILABLE": "is_available",
    },
}
_ALL = "select count(*) as n from marts.fct_interactions"


@dataclass(frozen=True)
class ExportResult:
    """The result of an export: rows by data set, interactions left out, and reasons why Personalize would not train yet."""

    rows: Mapping[str, int]
    left_out: int
    warnings: tuple[str, ...]


def export(hub: Hub, warehouse: Warehouse, day: dt.date) -> ExportResult:
    """Write the three data sets of a day, replacing an earlier export of the same day.

    Raises DataError with everything that Personalize would reject; then nothing is written.
    """
    tables = {name: dataset(name, warehouse.frame(sql)) for name, sql in _QUERIES.items()}
    problems = [
        problem
        for name, schema in SCHEMAS.items()
        for problem in (*schema_problems(schema), *row_problems(schema, tables[name]))
    ]
    if problems:
        raise DataError(
            f"Nothing was written for Personalize: {'; '.join(problems)}. Fix the marts, then export again."
        )
    for name, rows in tables.items():
        hub.put(personalize_key(day, f"{name}.csv"), as_csv(rows))
        hub.put(personalize_key(day, f"{name}.schema.json"), SCHEMAS[name].avro().encode())
    return ExportResult(
        rows={name: len(rows) for name, rows in tables.items()},
        left_out=warehouse.frame(_ALL)["n"][0].as_py() - len(tables["interactions"]),
        warnings=tuple(training_warnings(tables["interactions"])),
    )


def personalize_key(day: dt.date, name: str) -> str:
    """Return the key of one file of a day's export."""
    return f"personalize/{dt_folder(day)}/{name}"


def dataset(name: str, mart: pa.Table) -> pa.Table:
    """Build the rows of a data set from a mart, with columns in the order of its fields."""
    columns = _COLUMNS[name]
    return pa.table({field.name: _as_field(field, mart[columns[field.name]]) for field in SCHEMAS[name].fields})


def as_csv(rows: pa.Table) -> bytes:
    """Return rows as CSV in UTF-8 with a header; missing values are empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    for batch in rows.to_batches():
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return text.getvalue().encode()


def _as_field(field: Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if field.categorical:
        return pa.chunked_array([pa.array([_category_text(value) for value in column.to_pylist()], pa.string())])
    if field.type == "long":
        return _epoch_seconds(column)
    return column.cast({"string": pa.string(), "float": pa.float64(), "int": pa.int32()}[field.type])


def _epoch_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole seconds since 1970 (UTC). Earlier times become 1970, because negative times are not documented as valid."""
    moments = column.cast(pa.timestamp("us")).cast(pa.timestamp("s"), safe=False)
    return pc.max_element_wise(moments.cast(pa.int64()), 0, skip_nulls=False)


def _category_text(value: object) -> str | None:
    """One or several values joined by `|`, as Personalize requires; None if there are none."""
    several: Iterable[object] = value if isinstance(value, list) else [value]
    words = (" ".join(str(each).replace("|", "/").split()) for each in several if each is not None)
    return "|".join(dict.fromkeys(word for word in words if word)) or None
