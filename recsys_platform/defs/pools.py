"""Names that runs and assets share: the pool of what must not run at the same time, and tags of runs and assets."""

WAREHOUSE_WRITER = "warehouse_writer"
"""Everything that opens the warehouse in a run while that is DuckDB, which bears no reader beside a writer.

`dagster.yaml` gives the pool one slot.
"""

REBUILD = "recsys/rebuild"
"""Tag of a run that builds incremental models anew."""

ON_DEMAND = "recsys/on_demand"
"""Tag of an asset that is only materialized when a person names it, in no run of the whole road."""

PROCESS = "recsys/process"
"""Tag with the id of the process that a run of `recsys run` lives in."""
