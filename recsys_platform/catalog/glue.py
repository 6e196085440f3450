"""Mirror the catalog into the AWS Glue Data Catalog, which Athena, Spark and Redshift query.

Belongs here: creating, updating and removing Glue tables and partitions. Does not: deriving the tables (hive_tables.py). The entries
in the hub stay the source of truth: Glue is read only to find differences.

Every update of a Glue table creates a version, so a table is updated only if it differs.
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
from recsys_platform.common.aws import client, error_code, translate_aws_errors
from recsys_platform.common.errors import HubError
from recsys_platform.hub.object_store import Hub

DATABASE = "recsys"
MARK = "recsys.table"  # the parameter that marks a table as ours
_DATABASE_NAME = re.compile(r"[a-z0-9_]{1,255}")
_BATCHES = {"create": 100, "update": 100, "delete": 25}  # the most partitions that Glue accepts in one request
Known = Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """The number of changes made in Glue; all zero if it was up to date."""

    tables_created: int = 0
    tables_updated: int = 0
    tables_removed: int = 0
    partitions_created: int = 0
    partitions_updated: int = 0
    partitions_removed: int = 0


@dataclass(frozen=True)
class GlueDatabase:
    """A Glue database in the account and region of the credentials; created when it is first needed."""

    name: str = DATABASE

    def mirror(self, hub: Hub, tables: Iterable[Table]) -> Changes:
        """Bring the tables, columns and partitions in Glue up to date with the entries.

        A table of ours whose objects are all gone from the hub is removed. Tables made by others are never touched.
        Raises `HubError` if one of those has the same name, if the hub is not in S3, or if AWS refuses.
        """
        self._check_database_name()
        root = root_of(hub)
        wanted = [hive_table(hub, table) for table in tables]
        with translate_aws_errors(f"register the tables of the hub in the database {self.name} of Glue"):
            known = self._list_tables()
            for table in wanted:
                _check_owner(self.name, table, known.get(table.name))
            done = Counter(self._remove_tables(hub, root, known, {table.name for table in wanted}))
            for table in wanted:
                done.update(self._sync_table(table, known.get(table.name)))
                done.update(self._sync_partitions(table))
        return Changes(**done)

    @cached_property
    def client(self) -> Any:
        """The Glue client."""
        return client("glue")

    def _check_database_name(self) -> None:
        if not _DATABASE_NAME.fullmatch(self.name):
            raise HubError(
                f"{self.name!r} cannot name a database of Glue: use lower-case letters, digits and underscores."
            )

    def _list_tables(self) -> dict[str, Known]:
        """The tables by name; creates the database if there is none."""
        pages = self.client.get_paginator("get_tables").paginate(DatabaseName=self.name)
        try:
            return {table["Name"]: table for page in pages for table in page["TableList"]}
        except ClientError as error:
            if error_code(error) != "EntityNotFoundException":
                raise
        self.client.create_database(
            DatabaseInput={"Name": self.name, "Description": "The data hub: landing and curated tables"}
        )
        return {}

    def _sync_table(self, table: HiveTable, known: Known | None) -> Iterator[str]:
        given = _table_input(table)
        if known is None:
            self.client.create_table(DatabaseName=self.name, TableInput=given)
            yield "tables_created"
        elif not _is_up_to_date(known, given):
            given["Parameters"] = {
                **known.get("Parameters", {}),
                **given["Parameters"],
            }  # keep parameters set by others
            self.client.update_table(DatabaseName=self.name, TableInput=given)
            yield "tables_updated"

    def _remove_tables(self, hub: Hub, root: str, known: Mapping[str, Known], wanted: set[str]) -> Iterator[str]:
        """Remove tables without objects. A table that was not found but has objects may only be unreadable today, and stays."""
        for name, table in known.items():
            location = _table_location(table)
            ours = name not in wanted and MARK in table.get("Parameters", {}) and location.startswith(root)
            if ours and not hub.objects(location.removeprefix(root)):
                self.client.delete_table(DatabaseName=self.name, Name=name)
                yield "tables_removed"

    def _sync_partitions(self, table: HiveTable) -> Counter[str]:
        pages = self.client.get_paginator("get_partitions").paginate(DatabaseName=self.name, TableName=table.name)
        known = {tuple(each["Values"]): each for page in pages for each in page["Partitions"]}
        wanted = {tuple(each["Values"]): each for each in _partition_inputs(table)}
        new = [each for values, each in wanted.items() if values not in known]
        other = [each for values, each in wanted.items() if values in known and not _is_up_to_date(known[values], each)]
        gone = [{"Values": list(values)} for values in known if values not in wanted]
        self._send_batches("create", table.name, new, "PartitionInputList")
        self._send_batches("update", table.name, [_partition_update(each) for each in other], "Entries")
        self._send_batches("delete", table.name, gone, "PartitionsToDelete")
        return Counter(partitions_created=len(new), partitions_updated=len(other), partitions_removed=len(gone))

    def _send_batches(self, what: str, table: str, partitions: Sequence[Known], argument: str) -> None:
        """Send partitions in batches. Glue reports failed partitions in a successful response."""
        send, size = getattr(self.client, f"batch_{what}_partition"), _BATCHES[what]
        for start in range(0, len(partitions), size):
            batch = {argument: list(partitions[start : start + size])}
            answer = send(DatabaseName=self.name, TableName=table, **batch)
            if errors := answer.get("Errors"):
                raise HubError(
                    f"Glue did not {what} {len(errors)} partitions of {self.name}.{table}: {_first_error(errors)}."
                )


def _check_owner(database: str, table: HiveTable, known: Known | None) -> None:
    if known is None:
        return
    if known.get("Parameters", {}).get(MARK) != table.source or _table_location(known) != table.location:
        raise HubError(
            f"The table {database}.{table.name} of Glue is not of this hub: it is at {_table_location(known) or 'no location'}. "
            "Drop it there, or set RECSYS_GLUE_DATABASE to another database."
        )


def _table_location(known: Known) -> str:
    return str(known.get("StorageDescriptor", {}).get("Location", ""))


def _table_input(table: HiveTable) -> dict[str, Any]:
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", **table.parameters},
        "PartitionKeys": _glue_columns(table.partition_keys),
        "StorageDescriptor": _storage_descriptor(table, table.location),
    }


def _partition_inputs(table: HiveTable) -> Iterator[dict[str, Any]]:
    """Each day with the columns of the table: Athena refuses a partition whose column types differ."""
    for day, location in table.partitions.items():
        yield {"Values": [day.isoformat()], "StorageDescriptor": _storage_descriptor(table, location)}


def _partition_update(partition: Known) -> dict[str, Any]:
    return {"PartitionValueList": partition["Values"], "PartitionInput": partition}


def _storage_descriptor(table: HiveTable, location: str) -> dict[str, Any]:
    return {
        "Columns": _glue_columns(table.columns),
        "Location": location,
        "InputFormat": table.reader.input_format,
        "OutputFormat": table.reader.output_format,
        "SerdeInfo": {"SerializationLibrary": table.reader.serde, "Parameters": dict(table.properties)},
    }


def _glue_columns(columns: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Type": kind} for name, kind in columns.items()]


def _is_up_to_date(known: Any, given: Any) -> bool:
    """Whether Glue's value contains the given one; it may have more, such as who created a table and when."""
    if isinstance(given, Mapping):
        return isinstance(known, Mapping) and all(
            name in known and _is_up_to_date(known[name], given[name]) for name in given
        )
    if isinstance(given, list):
        return len(known) == len(given) and all(_is_up_to_date(*pair) for pair in zip(known, given, strict=True))
    return bool(known == given)


def _first_error(errors: Sequence[Known]) -> str:
    """The first of several errors."""
    detail = errors[0].get("ErrorDetail", {})
    return f"{detail.get('ErrorCode', '')} ({str(detail.get('ErrorMessage', '')).rstrip('.')})"
