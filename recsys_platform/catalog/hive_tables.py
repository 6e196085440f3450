"""Table definitions for Hive's metastore, Glue, Athena and Spark.

Belongs here: names, columns, partitions and the SerDe of a table, derived from its catalog entry. Does not: updating Glue (glue.py),
SQL (athena_ddl.py).

Hive names are lower case, and Athena accepts little but letters, digits and underscores: `messageId` becomes `messageid`, a key
`os.name` becomes `os_name`. Fields whose names collide become one column, of a type that fits both. A day is one partition, `dt`,
whatever folders are below it.
"""

import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from recsys_platform.catalog.hive_types import columns_of, joined
from recsys_platform.catalog.json_schema import Field
from recsys_platform.catalog.tables import KnownField, Table
from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import dt_folder
from recsys_platform.hub.object_store import Hub

DAY = "dt"
NAME_IN_A_TYPE = re.compile(r"[^<>,:]+(?=:)")
_NAME_IN_A_PATH = re.compile(r'"(?:[^"\\]|\\.)*"|[^."\[\]]+')
_BAD = re.compile(r"[^0-9a-z_]")


@dataclass(frozen=True)
class Reader:
    """How files of a format are read: Hive's classes, and the format's name in SQL and in a table's parameters."""

    serde: str
    input_format: str
    output_format: str
    stored_as: str
    compression: str


# OpenX instead of Hive's own JSON SerDe: it converts any value of a `string` column, the type of mixed fields, to text.
_READERS = {
    "json": Reader(
        "org.openx.data.jsonserde.JsonSerDe",
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "textfile",
        "gzip",
    ),
    "parquet": Reader(
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "parquet",
        "none",  # the file is not compressed, the pages in it are
    ),
}


@dataclass(frozen=True)
class HiveTable:
    """A Hive table: `columns` and `partition_keys` are name → type, `partitions` day → URL.

    `source` is the entry's name; `properties` are the SerDe's.
    """

    name: str
    source: str
    version: int
    location: str
    format: str
    reader: Reader
    columns: Mapping[str, str]
    partition_keys: Mapping[str, str]
    properties: Mapping[str, str]
    partitions: Mapping[dt.date, str]

    @property
    def parameters(self) -> dict[str, str]:
        """The table's parameters, without anything that changes from day to day."""
        return {
            "classification": self.format,
            "compressionType": self.reader.compression,
            "typeOfData": "file",
            "recsys.table": self.source,
            "recsys.version": str(self.version),
        }


def hive_table(hub: Hub, table: Table) -> HiveTable:
    """The Hive table of a catalog entry. Raises `HubError` if the hub is not in S3."""
    is_json = table.format == "json"
    location = root_of(hub) + table.location
    return HiveTable(
        name=plain(table.name),
        source=table.name,
        version=table.version,
        location=location,
        format=table.format,
        reader=_READERS[table.format],
        columns=_json_columns(table.fields) if is_json else _parquet_columns(table.columns),
        partition_keys={DAY: "date"},
        properties=_json_properties(table.columns) if is_json else {"serialization.format": "1"},
        partitions={each.day: location + _day_folder(table, each.day) for each in table.partitions},
    )


def root_of(hub: Hub) -> str:
    """The URL of a hub in S3, ending with `/`."""
    root = hub.where("")
    if not root.startswith("s3://"):
        raise HubError(f"Glue and Athena cannot read the hub {root}: set RECSYS_HUB to s3://bucket/prefix.")
    return root


def plain(name: str) -> str:
    """A name in lower-case ASCII letters, digits and underscores."""
    return _BAD.sub("_", name.lower()) or "_"


def _day_folder(table: Table, day: dt.date) -> str:
    """The folder of a day, including its hours."""
    return f"{dt_folder(day)}/" if DAY in table.partition_keys else f"{day:%Y/%m/%d}/"


def _json_columns(fields: tuple[KnownField, ...]) -> dict[str, str]:
    """The columns of JSON records; a column with the partition's name is renamed."""
    types: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for each in fields:
        path = _plain_path(each.path)
        types[path] = joined(types[path], each.types)
    found = columns_of({path: Field(frozenset(kinds), True, 1.0) for path, kinds in types.items()})
    return {_beside_the_day(name): kind for name, kind in found.items()}


def _json_properties(columns: Mapping[str, str]) -> dict[str, str]:
    """SerDe properties: damaged lines become rows of nulls, and renamed columns are mapped to their keys."""
    keys = {name.lower() for name in columns}
    renamed = {column: key for key in sorted(keys, reverse=True) if (column := _beside_the_day(plain(key))) not in keys}
    return {"ignore.malformed.json": "true", **{f"mapping.{column}": renamed[column] for column in sorted(renamed)}}


def _parquet_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """The columns of Parquet files; the day comes from the path."""
    kinds = {name: NAME_IN_A_TYPE.sub(lambda found: plain(found[0]), kind) for name, kind in columns.items()}
    return {name.lower(): kind for name, kind in kinds.items() if name.lower() != DAY}


def _plain_path(path: str) -> str:
    return _NAME_IN_A_PATH.sub(lambda found: plain(_unquote_name(found[0])), path)


def _unquote_name(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name


def _beside_the_day(column: str) -> str:
    return f"{DAY}_" if column == DAY else column
