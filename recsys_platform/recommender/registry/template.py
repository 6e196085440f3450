"""An empty registry to copy: MLflow makes a new SQLite file by fifty migrations, which takes seconds; they run once a machine.

The template lies in the user's cache folder, one for each version of MLflow.
"""

import os
import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory


def copy_empty_database(target: Path) -> None:
    """Make an empty registry of MLflow where none is; without a cache folder that can be written MLflow makes it later, itself."""
    if target.exists():
        return
    with suppress(OSError):
        template = _template_path()
        with TemporaryDirectory(dir=target.parent) as draft:
            copy = shutil.copyfile(template, Path(draft) / target.name)
            os.link(copy, target)  # fails where another process was faster


def _template_path() -> Path:
    template = _cache_folder() / f"mlflow-{version('mlflow-skinny')}.db"
    if not template.exists():
        template.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=template.parent) as draft:
            _run_migrations(Path(draft) / template.name)
            os.replace(Path(draft) / template.name, template)
    return template


def _run_migrations(path: Path) -> None:
    import sqlalchemy as sa
    from mlflow.store.db.utils import _initialize_tables

    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def _cache_folder() -> Path:
    """As the XDG base directory specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recsys_platform"
