"""`recsys notebooks`: the notebooks of the platform, to open in Jupyter."""

from pathlib import Path
from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.config.settings import load_settings


def notebooks(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder to write to; by default `notebooks` in RECSYS_HOME.")
    ] = None,
) -> None:
    """Write four notebooks for data scientists: data, a variant, an experiment, off-policy; keep files that are there."""
    from recsys_platform.notebook.examples import write_notebooks

    for path, is_new in write_notebooks(folder or load_settings().home / "notebooks").items():
        OUT.print(f"{path}: {'written' if is_new else 'kept as it is'}", soft_wrap=True)
