"""A loader in a process of its own, in the environment that it is given: `python loader_process.py CHUNK`.

Says `ready`, waits for a line, then tells each chunk and the sum.
"""

import sys

from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.ingestion.loading import load_events


def main() -> None:
    settings = load_settings()
    hub, warehouse = hub_of(settings), warehouse_of(settings)
    print("ready", flush=True)
    sys.stdin.readline()
    found = hub.objects("engagement_events/")
    report = load_events(
        hub,
        warehouse,
        found,
        chunk_objects=int(sys.argv[1]),
        progress=lambda done, total: print("chunk", done, flush=True),
    )
    print("objects", report.objects, flush=True)


if __name__ == "__main__":
    main()
