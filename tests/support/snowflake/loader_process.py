"""A loader in a process of its own, in the environment that it is given: `python loader_process.py CHUNK`.

Says `ready`, waits for a line, then tells each chunk and the sum.
"""

import sys

from recsys_platform.config.factories import account_of, hub_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse


def main() -> None:
    settings = load_settings()
    hub, made = hub_of(settings), warehouse_of(settings)
    assert isinstance(made, SnowflakeWarehouse)
    warehouse = SnowflakeWarehouse(account_of(settings), made.stage, chunk_objects=int(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    found = hub.objects("engagement_events/")
    report = warehouse.load_events(hub, found, progress=lambda done, total: print("chunk", done, flush=True))
    print("objects", report.objects, flush=True)


if __name__ == "__main__":
    main()
