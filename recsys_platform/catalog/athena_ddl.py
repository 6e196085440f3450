"""Tables of the data catalog as SQL for Athena or Hive, for users who do not mirror the catalog into Glue.

Athena runs one statement at a time: each string is one statement, without a semicolon.
"""

from collections.abc import Mapping

from recsys_platform.catalog.hive_tables import DAY, NAME_IN_A_TYPE, HiveTable

DAYS_IN_A_STATEMENT = 500  # Athena takes 256 KB


def statements(table: HiveTable, database: str = "recsys") -> list[str]:
    """Statements that create a table and add its partitions; running them again changes nothing."""
    return [create_table(table, database), *add_partitions(table, database)]


def create_table(table: HiveTable, database: str = "recsys") -> str:
    """The `create external table` statement: columns, partition, SerDe, location, properties."""
    clauses = [
        f"create external table if not exists {_quoted_name(database)}.{_quoted_name(table.name)} (\n{_column_list(table.columns)}\n)",
        f"partitioned by (\n{_column_list(table.partition_keys)}\n)",
        *_storage_clauses(table),
        f"location {_string_literal(table.location)}",
        f"tblproperties (\n{_property_list(table.parameters)}\n)",
    ]
    return "\n".join(clauses)


def add_partitions(table: HiveTable, database: str = "recsys") -> list[str]:
    """`alter table … add partition` statements for the days of a table, as many days in each as Athena accepts."""
    days = [
        f"partition ({_quoted_name(DAY)} = '{day}') location {_string_literal(place)}"
        for day, place in table.partitions.items()
    ]
    batches = (days[start : start + DAYS_IN_A_STATEMENT] for start in range(0, len(days), DAYS_IN_A_STATEMENT))
    head = f"alter table {_quoted_name(database)}.{_quoted_name(table.name)} add if not exists"
    return ["\n    ".join((head, *batch)) for batch in batches]


def _storage_clauses(table: HiveTable) -> list[str]:
    """The storage clauses: Parquet has a short form, JSON needs its SerDe and the SerDe's properties."""
    stored = f"stored as {table.reader.stored_as}"
    if table.format == "parquet":
        return [stored]
    serde = f"row format serde {_string_literal(table.reader.serde)}"
    return [serde, f"with serdeproperties (\n{_property_list(table.properties)}\n)", stored]


def _column_list(columns: Mapping[str, str]) -> str:
    return ",\n".join(f"    {_quoted_name(column)} {_quoted_type(kind)}" for column, kind in columns.items())


def _property_list(properties: Mapping[str, str]) -> str:
    return ",\n".join(f"    {_string_literal(name)} = {_string_literal(value)}" for name, value in properties.items())


def _quoted_type(kind: str) -> str:
    """A type with quoted field names: a field may be called `timestamp`."""
    return NAME_IN_A_TYPE.sub(lambda found: _quoted_name(found[0]), kind)


def _quoted_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _string_literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
