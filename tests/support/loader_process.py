"""A loader in a process of its own: `python loader_process.py HOME CHUNK`.

Says `ready`, waits for a line, then tells each chunk and the sum.
"""

import sys
from pathlib import Path

from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse


def main() -> None:
    home = Path(sys.argv[1])
    hub, warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "warehouse.duckdb")
    found = hub.objects("engagement_events/")
    print("ready", flush=True)
    sys.stdin.readline()
    report = load_events(
        hub,
        warehouse,
        found,
        chunk_objects=int(sys.argv[2]),
        progress=lambda done, total: print("chunk", done, flush=True),
    )
    print("objects", report.objects, flush=True)


if __name__ == "__main__":
    main()
