"""Folders that are written beside their place and moved there whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent` to write into; what is not moved away is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def put_in_place(draft: Path, folder: Path) -> None:
    """Move a draft to its place; what stands there is moved aside first and removed."""
    draft.chmod(0o755)
    aside = draft.with_name(f"{draft.name}-old")
    if folder.exists():
        os.rename(folder, aside)
    os.rename(draft, folder)
    shutil.rmtree(aside, ignore_errors=True)
