"""The size on disk of each part of a world."""

import os
from collections.abc import Iterator
from pathlib import Path

from recsys_platform.config.settings import Settings


def disk_usage(settings: Settings) -> list[tuple[str, int]]:
    """Bytes by part; without what is elsewhere: a hub in S3, a warehouse in Snowflake, an MLflow server."""
    home = settings.home
    parts = {
        "landing": [home / "hub" / "engagement_events"],
        "snapshots": [home / "hub" / "user_attributes", home / "hub" / "book_attributes"],
        "curated": [home / "hub" / "curated"],
        "warehouse": [settings.warehouse_path],
        "reading copy": [settings.analytics_path],
        "models": [settings.models_root],
        "runs and logs": [settings.dagster_home, home / "dbt", home / "run.log"],
    }
    sizes = [(name, sum(size for path in paths for size in _file_sizes(path))) for name, paths in parts.items()]
    return [(name, size) for name, size in sizes if size]


def _file_sizes(path: Path) -> Iterator[int]:
    if path.is_file():
        yield path.stat().st_size
    elif path.is_dir():
        with os.scandir(path) as entries:
            for entry in entries:
                yield from _file_sizes(Path(entry.path)) if entry.is_dir() else [entry.stat().st_size]
