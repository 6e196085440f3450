"""Asset metadata of tables: row count, columns, and small tables as Markdown."""

from typing import Any

import dagster as dg
import pandas as pd

from recsys_platform.warehouse.port import Warehouse

_COLUMNS = """
    select lower(column_name) as column_name, data_type from information_schema.columns
    where lower(table_schema || '.' || table_name) = ? order by ordinal_position"""


def table_metadata(warehouse: Warehouse, relation: str) -> dict[str, Any]:
    """Row count and column schema of a table or view named `schema.table`."""
    columns = warehouse.frame(_COLUMNS, [relation]).to_pylist()
    return {
        "dagster/row_count": warehouse.frame(f"select count(*) as n from {relation}")["n"][0].as_py(),
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(row["column_name"], row["data_type"]) for row in columns]
        ),
    }


def markdown(frame: pd.DataFrame) -> str:
    """A small table as Markdown."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.round(3).astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
