"""Tables of the catalogue as Hive's metastore, Glue, Athena and Spark want to be told of them.

Belongs here: names, columns, partitions and the reader of a table, all from its entry alone. Does not: telling Glue (glue.py), SQL
(athena_ddl.py).

Hive knows no upper case, and Athena little but letters, digits and underscores: `messageId` becomes `messageid`, a key `os.name`
becomes `os_name`. Fields that so become one are one column, of a type that can hold both. A day is one partition, `dt`, whatever
folders are below it.
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
from recsys_platform.hub.object_store import Hub

DAY = "dt"
NAME_IN_A_TYPE = re.compile(r"[^<>,:]+(?=:)")
_NAME_IN_A_PATH = re.compile(r'"(?:[^"\\]|\\.)*"|[^."\[\]]+')
_BAD = re.compile(r"[^0-9a-z_]")


@dataclass(frozen=True)
class Reader:
    """How files of a format are read: Hive's classes, and what the format is called in SQL and in a table's parameters."""

    serde: str
    input_format: str
    output_format: str
    stored_as: str
    compression: str


# OpenX rather than Hive's own: it makes text of anything where the column is a `string`, which fields of several types are.
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
    """A table for Hive: `columns` and `partition_keys` are name → type, `partitions` day → address.

    `source` is the entry's name; `properties` are those of the reader.
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
        """What the table says of itself; nothing that changes from day to day."""
        return {
            "classification": self.format,
            "compressionType": self.reader.compression,
            "typeOfData": "file",
            "recsys.table": self.source,
            "recsys.version": str(self.version),
        }


def hive_table(hub: Hub, table: Table) -> HiveTable:
    """The table of an entry, its addresses where the hub is; `HubError` if that is not in S3."""
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
        partitions={each.day: location + _folder(table, each.day) for each in table.partitions},
    )


def root_of(hub: Hub) -> str:
    """The address of a hub in S3, which ends with `/`."""
    root = hub.where("")
    if not root.startswith("s3://"):
        raise HubError(f"Glue and Athena cannot read the hub {root}: set RECSYS_HUB to s3://bucket/prefix.")
    return root


def plain(name: str) -> str:
    """A name in lower-case letters of English, digits and underscores."""
    return _BAD.sub("_", name.lower()) or "_"


def _folder(table: Table, day: dt.date) -> str:
    """The folder of a day; hours below it are read along."""
    return f"{DAY}={day.isoformat()}/" if DAY in table.partition_keys else f"{day:%Y/%m/%d}/"


def _json_columns(fields: tuple[KnownField, ...]) -> dict[str, str]:
    """The columns of records whose fields have plain names; a column called like the partition gets another name."""
    types: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for each in fields:
        path = _plain_path(each.path)
        types[path] = joined(types[path], each.types)
    found = columns_of({path: Field(frozenset(kinds), True, 1.0) for path, kinds in types.items()})
    return {_beside_the_day(name): kind for name, kind in found.items()}


def _json_properties(columns: Mapping[str, str]) -> dict[str, str]:
    """Damaged lines are rows of nulls, and a column that is not called like its key names the key."""
    keys = {name.lower() for name in columns}
    renamed = {column: key for key in sorted(keys, reverse=True) if (column := _beside_the_day(plain(key))) not in keys}
    return {"ignore.malformed.json": "true", **{f"mapping.{column}": renamed[column] for column in sorted(renamed)}}


def _parquet_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """The columns of files; the day is in the path, whatever the file says."""
    kinds = {name: NAME_IN_A_TYPE.sub(lambda found: plain(found[0]), kind) for name, kind in columns.items()}
    return {name.lower(): kind for name, kind in kinds.items() if name.lower() != DAY}


def _plain_path(path: str) -> str:
    return _NAME_IN_A_PATH.sub(lambda found: plain(_unquoted(found[0])), path)


def _unquoted(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name


def _beside_the_day(column: str) -> str:
    return f"{DAY}_" if column == DAY else column
