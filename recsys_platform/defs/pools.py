"""Pools: what must not run at the same time."""

WAREHOUSE_WRITER = "warehouse_writer"
"""Every asset that writes the warehouse while it is DuckDB, which has one writer; `dagster.yaml` gives it one slot."""
