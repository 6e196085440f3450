"""Folders that are written beside their place and moved there whole, and removed when nobody uses them any more."""

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT_UNUSED = 2
GRACE_SECONDS = 3600.0
"""A folder that was used in this time is kept: another process may be loading it."""
_DRAFT = ".draft-"
_DRAFT_SECONDS = 86_400.0
"""After so long a draft is of a process that was killed."""


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent` to write into; what is not moved away is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=parent))
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


def mark_used(folder: Path) -> None:
    """Note that a folder is used now, so that it is kept for a while; nothing if it is not there or cannot be written."""
    with suppress(OSError):
        os.utime(folder)


def remove_unused(parent: Path, in_use: Collection[str]) -> list[str]:
    """Remove the folders below `parent` that nobody uses, and old drafts; return their names.

    Kept are those in use, the two that were used last besides, and what was used in the last hour. A process that has read or mapped
    files of a removed folder goes on with them.
    """
    folders = [each for each in _folders_below(parent) if each.name not in in_use]
    drafts = [each for each in folders if each.name.startswith(_DRAFT)]
    others = sorted((each for each in folders if not each.name.startswith(".")), key=_idle_seconds)[KEPT_UNUSED:]
    old = [each for each in others if _idle_seconds(each) > GRACE_SECONDS]
    old += [each for each in drafts if _idle_seconds(each) > _DRAFT_SECONDS]
    for folder in old:
        _remove_whole(folder)
    return [folder.name for folder in old]


def _folders_below(parent: Path) -> list[Path]:
    return [each for each in parent.iterdir() if each.is_dir()] if parent.is_dir() else []


def _idle_seconds(folder: Path) -> float:
    """Seconds since a folder was written or marked as used; 0 for one that another process removed."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove_whole(folder: Path) -> None:
    """Remove a folder in one step as others see it: nobody finds half of it."""
    aside = folder.with_name(f"{_DRAFT}{os.getpid()}-{folder.name.removeprefix(_DRAFT)}-old")
    with suppress(OSError):  # another process was faster
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
