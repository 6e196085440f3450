"""The tables of the catalogue as statements for Athena or Hive, for those who do not want us to write to Glue.

Athena runs one statement at a time, so there is one a string, without a semicolon.
"""

from collections.abc import Mapping

from recsys_platform.catalog.hive_tables import DAY, NAME_IN_A_TYPE, HiveTable

DAYS_IN_A_STATEMENT = 500  # Athena takes 256 KB


def statements(table: HiveTable, database: str = "recsys") -> list[str]:
    """What creates a table and makes its days known; running it again changes nothing."""
    return [create_table(table, database), *add_partitions(table, database)]


def create_table(table: HiveTable, database: str = "recsys") -> str:
    """`create external table` with columns, partition, reader, place and parameters."""
    clauses = [
        f"create external table if not exists {_name(database)}.{_name(table.name)} (\n{_columns(table.columns)}\n)",
        f"partitioned by (\n{_columns(table.partition_keys)}\n)",
        *_reader(table),
        f"location {_text(table.location)}",
        f"tblproperties (\n{_properties(table.parameters)}\n)",
    ]
    return "\n".join(clauses)


def add_partitions(table: HiveTable, database: str = "recsys") -> list[str]:
    """`alter table … add` for the days of a table, so many at once as Athena takes."""
    days = [f"partition ({_name(DAY)} = '{day}') location {_text(place)}" for day, place in table.partitions.items()]
    batches = (days[start : start + DAYS_IN_A_STATEMENT] for start in range(0, len(days), DAYS_IN_A_STATEMENT))
    head = f"alter table {_name(database)}.{_name(table.name)} add if not exists"
    return ["\n    ".join((head, *batch)) for batch in batches]


def _reader(table: HiveTable) -> list[str]:
    """Parquet is known by its name; JSON needs its class, with what it is told."""
    stored = f"stored as {table.reader.stored_as}"
    if table.format == "parquet":
        return [stored]
    serde = f"row format serde {_text(table.reader.serde)}"
    return [serde, f"with serdeproperties (\n{_properties(table.properties)}\n)", stored]


def _columns(columns: Mapping[str, str]) -> str:
    return ",\n".join(f"    {_name(column)} {_type(kind)}" for column, kind in columns.items())


def _properties(properties: Mapping[str, str]) -> str:
    return ",\n".join(f"    {_text(name)} = {_text(value)}" for name, value in properties.items())


def _type(kind: str) -> str:
    """A type whose fields are quoted too: one may be called `timestamp`."""
    return NAME_IN_A_TYPE.sub(lambda found: _name(found[0]), kind)


def _name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
