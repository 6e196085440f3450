"""Mirror the catalogue into the AWS Glue Data Catalog, which Athena, Spark and Redshift ask.

Belongs here: telling Glue of tables and days, and only of what is new. Does not: what the tables are (hive_tables.py). The entries in
the hub stay the source: nothing is read back from Glue but to see what it knows already.

Glue keeps the versions of a table: each update makes one. So a table is updated only if something about it differs.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from recsys_platform.catalog.hive_tables import HiveTable, hive_table, root_of
from recsys_platform.catalog.tables import Table
from recsys_platform.common.aws import client, code_of, in_one_sentence
from recsys_platform.common.errors import HubError
from recsys_platform.hub.object_store import Hub

DATABASE = "recsys"
MARK = "recsys.table"  # the parameter by which a table is known to be ours
_A_DATABASE = re.compile(r"[a-z0-9_]{1,255}")
_BATCHES = {"create": 100, "update": 100, "delete": 25}  # partitions that Glue takes in one request
Known = Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """What Glue was told, in numbers; all are zero if it knew everything."""

    tables_created: int = 0
    tables_updated: int = 0
    tables_removed: int = 0
    partitions_created: int = 0
    partitions_updated: int = 0
    partitions_removed: int = 0


@dataclass(frozen=True)
class GlueDatabase:
    """A database of the Glue Data Catalog in the account and region of the credentials; made when it is first needed."""

    name: str = DATABASE

    def mirror(self, hub: Hub, tables: Iterable[Table]) -> Changes:
        """Make tables, columns and days there what they are in the entries.

        A table of ours whose objects are all gone from the hub is removed; tables that somebody else made are never touched.
        `HubError` if one of them is in the way, if the hub is not in S3, or if AWS refuses.
        """
        self._check()
        root = root_of(hub)
        wanted = [hive_table(hub, table) for table in tables]
        with in_one_sentence(f"register the tables of the hub in the database {self.name} of Glue"):
            known = self._tables()
            for table in wanted:
                _check_owner(self.name, table, known.get(table.name))
            done = Counter(self._removed(hub, root, known, {table.name for table in wanted}))
            for table in wanted:
                done.update(self._table(table, known.get(table.name)))
                done.update(self._partitions(table))
        return Changes(**done)

    @cached_property
    def client(self) -> Any:
        """Glue itself."""
        return client("glue")

    def _check(self) -> None:
        if not _A_DATABASE.fullmatch(self.name):
            raise HubError(
                f"{self.name!r} cannot name a database of Glue: use lower-case letters, digits and underscores."
            )

    def _tables(self) -> dict[str, Known]:
        """The tables by name, after making the database if there is none."""
        pages = self.client.get_paginator("get_tables").paginate(DatabaseName=self.name)
        try:
            return {table["Name"]: table for page in pages for table in page["TableList"]}
        except ClientError as error:
            if code_of(error) != "EntityNotFoundException":
                raise
        self.client.create_database(
            DatabaseInput={"Name": self.name, "Description": "The data hub: landing and curated tables"}
        )
        return {}

    def _table(self, table: HiveTable, known: Known | None) -> Iterator[str]:
        given = _table_input(table)
        if known is None:
            self.client.create_table(DatabaseName=self.name, TableInput=given)
            yield "tables_created"
        elif not _holds(known, given):
            given["Parameters"] = {**known.get("Parameters", {}), **given["Parameters"]}  # others keep theirs there too
            self.client.update_table(DatabaseName=self.name, TableInput=given)
            yield "tables_updated"

    def _removed(self, hub: Hub, root: str, known: Mapping[str, Known], wanted: set[str]) -> Iterator[str]:
        """A table that was not found may only be hard to read today: it goes when its last object is gone."""
        for name, table in known.items():
            location = _location(table)
            ours = name not in wanted and MARK in table.get("Parameters", {}) and location.startswith(root)
            if ours and not hub.objects(location.removeprefix(root)):
                self.client.delete_table(DatabaseName=self.name, Name=name)
                yield "tables_removed"

    def _partitions(self, table: HiveTable) -> Counter[str]:
        pages = self.client.get_paginator("get_partitions").paginate(DatabaseName=self.name, TableName=table.name)
        known = {tuple(each["Values"]): each for page in pages for each in page["Partitions"]}
        wanted = {tuple(each["Values"]): each for each in _partition_inputs(table)}
        new = [each for values, each in wanted.items() if values not in known]
        other = [each for values, each in wanted.items() if values in known and not _holds(known[values], each)]
        gone = [{"Values": list(values)} for values in known if values not in wanted]
        self._send("create", table.name, new, "PartitionInputList")
        self._send("update", table.name, [_replacement(each) for each in other], "Entries")
        self._send("delete", table.name, gone, "PartitionsToDelete")
        return Counter(partitions_created=len(new), partitions_updated=len(other), partitions_removed=len(gone))

    def _send(self, what: str, table: str, partitions: Sequence[Known], argument: str) -> None:
        """Send partitions in batches; Glue tells what went wrong with some in an answer that is no error."""
        send, size = getattr(self.client, f"batch_{what}_partition"), _BATCHES[what]
        for start in range(0, len(partitions), size):
            batch = {argument: list(partitions[start : start + size])}
            answer = send(DatabaseName=self.name, TableName=table, **batch)
            if errors := answer.get("Errors"):
                raise HubError(f"Glue did not {what} {len(errors)} partitions of {self.name}.{table}: {_told(errors)}.")


def _check_owner(database: str, table: HiveTable, known: Known | None) -> None:
    if known is None:
        return
    if known.get("Parameters", {}).get(MARK) != table.source or _location(known) != table.location:
        raise HubError(
            f"The table {database}.{table.name} of Glue is not of this hub: it is at {_location(known) or 'no place'}. "
            "Drop it there, or set RECSYS_GLUE_DATABASE to another database."
        )


def _location(known: Known) -> str:
    return str(known.get("StorageDescriptor", {}).get("Location", ""))


def _table_input(table: HiveTable) -> dict[str, Any]:
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", **table.parameters},
        "PartitionKeys": _columns(table.partition_keys),
        "StorageDescriptor": _storage(table, table.location),
    }


def _partition_inputs(table: HiveTable) -> Iterator[dict[str, Any]]:
    """Each day with the columns of the table: Athena refuses a partition whose columns are of other types."""
    for day, location in table.partitions.items():
        yield {"Values": [day.isoformat()], "StorageDescriptor": _storage(table, location)}


def _replacement(partition: Known) -> dict[str, Any]:
    return {"PartitionValueList": partition["Values"], "PartitionInput": partition}


def _storage(table: HiveTable, location: str) -> dict[str, Any]:
    return {
        "Columns": _columns(table.columns),
        "Location": location,
        "InputFormat": table.reader.input_format,
        "OutputFormat": table.reader.output_format,
        "SerdeInfo": {"SerializationLibrary": table.reader.serde, "Parameters": dict(table.properties)},
    }


def _columns(columns: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in columns.items()]


def _holds(known: Any, given: Any) -> bool:
    """Whether Glue knows what it would be told; it may know more, such as who made a table and when."""
    if isinstance(given, Mapping):
        return isinstance(known, Mapping) and all(name in known and _holds(known[name], given[name]) for name in given)
    if isinstance(given, list):
        return len(known) == len(given) and all(_holds(*pair) for pair in zip(known, given, strict=True))
    return bool(known == given)


def _told(errors: Sequence[Known]) -> str:
    """The first of several errors."""
    detail = errors[0].get("ErrorDetail", {})
    return f"{detail.get('ErrorCode', '')} ({str(detail.get('ErrorMessage', '')).rstrip('.')})"
