"""What both engines know of published versions: `ops.publications` has a line for each version and table that is kept.

Belongs here: questions to that table. Does not: where the rows of a version stand (duckdb/, snowflake/).
"""

from recsys_platform.warehouse.port import Warehouse

KEPT_VERSIONS = 2
VERSIONS = """
    select version, versioned_table, is_live from ops.publications where table_name = ? order by version"""
EARLIER = """
    select version from ops.publications group by version
    having count(case when is_live then 1 end) = 0 order by max(published_at) desc limit 1"""
NO_EARLIER = "There is no earlier version to go back to: only one was ever published."


def live_version(warehouse: Warehouse) -> str | None:
    """The published version that readers see, None before the first."""
    found = warehouse.frame("select max(version) as version from ops.publications where is_live")
    return str(found["version"][0].as_py()) if found["version"][0].is_valid else None
