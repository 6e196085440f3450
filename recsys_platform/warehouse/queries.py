"""Questions that are the same SQL on every engine.

Belongs here: small questions that several stages ask. Does not: what one engine alone can answer (port.py).
"""

from collections.abc import Sequence

from recsys_platform.warehouse.port import Warehouse

_TABLES = """
    select lower(table_schema) || '.' || lower(table_name) as name
    from information_schema.tables where table_type = 'BASE TABLE'"""
_RELATIONS = """
    select lower(table_schema) || '.' || lower(table_name) as name from information_schema.tables
    union
    select lower(table_schema) || '.' || lower(table_name) as name from information_schema.views"""


def row_counts(warehouse: Warehouse, relations: Sequence[str]) -> dict[str, int]:
    """The number of rows of those relations, named `schema.table`, that are tables: counting a view would compute it."""
    tables = set(warehouse.frame(_TABLES)["name"].to_pylist())
    counts = [f"select '{name}' as name, count(*) as n from {name}" for name in relations if name in tables]
    rows = warehouse.frame(" union all ".join(counts)).to_pylist() if counts else []
    return {row["name"]: row["n"] for row in rows}


def relation_names(warehouse: Warehouse) -> set[str]:
    """The names of all tables and views, as `schema.name` in lower case."""
    return set(warehouse.frame(_RELATIONS)["name"].to_pylist())
