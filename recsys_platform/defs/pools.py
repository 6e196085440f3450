"""Names shared by runs and assets: the warehouse pool and tags."""

WAREHOUSE_WRITER = "warehouse_writer"
"""DuckDB allows one process at a time; everything that opens it in a run shares this pool.

`dagster.yaml` gives the pool one slot.
"""

REBUILD = "recsys/rebuild"
"""Tag of a run that rebuilds incremental models (`--full-refresh`)."""

OVER_BUDGET = "recsys/over_budget"
"""Tag of a run that may rebuild although it exceeds the budget: a person decided so."""

ON_DEMAND = "recsys/on_demand"
"""Tag of an asset that is only materialized on request, not by runs of the whole pipeline."""

PROCESS = "recsys/process"
"""Tag with the id of the process of a `recsys run`."""
