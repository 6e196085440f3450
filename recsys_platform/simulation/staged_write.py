"""Make a simulation atomic: an interrupted one leaves nothing in the hub, or is completed later.

Belongs here: the staging folder beside the ground truth, and moving it into the hub. Does not: what is written (simulate.py).
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recsys_platform.common.errors import HubError, InputError
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub

STAGE = ".simulating"
COMPLETE = "complete"  # marker file: everything is written and only has to be moved
LAST = "world.json"  # moved last: its presence means that there is a world


@contextmanager
def staged(hub: Hub, truth_dir: Path) -> Iterator[tuple[FolderHub, Path]]:
    """A hub and a truth folder to write to, moved into place at the end of the block and removed on an error.

    The leftovers of a killed process are removed by the next one, or moved if they are complete. Raises InputError while another
    process simulates into the same world.
    """
    stage = truth_dir.parent / STAGE
    with _stage_lock(stage):
        _finish_move(stage, hub, truth_dir)
        try:
            yield FolderHub(stage / "hub"), stage / "truth"
            stage.mkdir(exist_ok=True)
            (stage / COMPLETE).touch()
            _finish_move(stage, hub, truth_dir)
        finally:
            if not (stage / COMPLETE).exists():
                shutil.rmtree(stage, ignore_errors=True)


def is_unfinished(truth_dir: Path) -> bool:
    """Whether a simulation was interrupted after everything was written and before everything was moved."""
    return (truth_dir.parent / STAGE / COMPLETE).exists()


def finish_staged(hub: Hub, truth_dir: Path) -> None:
    """Complete the move of an interrupted simulation, if there is one."""
    if is_unfinished(truth_dir):
        with _stage_lock(truth_dir.parent / STAGE):
            _finish_move(truth_dir.parent / STAGE, hub, truth_dir)


def _finish_move(stage: Path, hub: Hub, truth_dir: Path) -> None:
    if (stage / COMPLETE).exists():
        _move_objects(FolderHub(stage / "hub"), hub)
        _move_truth(stage / "truth", truth_dir)
        (stage / COMPLETE).unlink()
    shutil.rmtree(stage, ignore_errors=True)


def _move_objects(source: FolderHub, hub: Hub) -> None:
    """Move objects into the hub; existing ones are kept."""
    if isinstance(hub, FolderHub):
        hub.root.mkdir(parents=True, exist_ok=True)
        _move_folders(source.root, hub.root)
    for path in (path for path in source.root.rglob("*") if path.is_file()):
        hub.put_new(path.relative_to(source.root).as_posix(), path.read_bytes())


def _move_folders(source: Path, target: Path) -> None:
    """Move folders that the target does not have, each in one step; a folder that cannot be moved stays."""
    for folder in [each for each in source.iterdir() if each.is_dir()] if source.is_dir() else []:
        if (target / folder.name).exists():
            _move_folders(folder, target / folder.name)
        else:
            with suppress(OSError):
                folder.rename(target / folder.name)


def _move_truth(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*"), key=lambda each: each.name == LAST):
        os.replace(file, target / file.name)


@contextmanager
def _stage_lock(stage: Path) -> Iterator[None]:
    path = stage.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise HubError(
            f"Cannot write {path}: {error.strerror}. Make the folder writable or set RECSYS_HOME."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"Another process is simulating into {path.parent}: wait for it, or set RECSYS_HOME to another folder."
            ) from None
        yield
