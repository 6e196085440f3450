"""Old folders of serving are removed, and nobody who uses one fails."""

import os
import threading
import time
from pathlib import Path

from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.folders import GRACE_SECONDS, mark_used, remove_unused
from recsys_platform.serving.following import Follower
from tests.support.serving_world import make_world


def age(folder: Path, seconds: float) -> None:
    """Make a folder look as if it was used so many seconds ago."""
    os.utime(folder, (time.time() - seconds,) * 2)


def names(parent: Path) -> set[str]:
    return {each.name for each in parent.iterdir()}


def test_what_is_in_use_the_two_used_last_and_what_was_used_just_now_is_kept(tmp_path: Path) -> None:
    for number, name in enumerate(["new", "b", "c", "d", "used", ".draft-killed", ".draft-now"]):
        (tmp_path / name).mkdir()
        age(tmp_path / name, 3 * GRACE_SECONDS + number)
    age(tmp_path / "new", 1)
    age(tmp_path / ".draft-killed", 2 * 86_400)
    assert set(remove_unused(tmp_path, {"used"})) == {"c", "d", ".draft-killed"}
    assert names(tmp_path) == {"new", "b", "used", ".draft-now"}
    assert remove_unused(tmp_path / "nowhere", ()) == []


def test_a_version_whose_artifact_was_removed_is_served_again_after_a_rollback(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.publish(parse_list_rules({}))
    follower = Follower(world.home, world.registry)
    artifacts = world.home / "artifacts"
    for name in ("als", "ease", "popularity", "item_knn"):
        for folder in artifacts.iterdir():
            age(folder, 3 * GRACE_SECONDS - folder.stat().st_mtime % 100)
        world.registry.set_alias(PRODUCTION, world.versions[name], why="a turn")
        follower.refresh()
        assert follower.error is None
        assert follower.served.models[PRODUCTION].artifact.variant == name
        assert len(names(artifacts)) <= 3


def test_folders_that_are_removed_and_written_at_once_fail_nobody(tmp_path: Path) -> None:
    def write_and_remove(number: int) -> None:
        for turn in range(100):
            folder = tmp_path / f"{(number + turn) % 7}"
            try:
                folder.mkdir()
                (folder / "file").write_text("x")
            except FileExistsError:
                mark_used(folder)
            except FileNotFoundError:  # removed while it was written
                continue
            age_if_there(folder)
            remove_unused(tmp_path, ())

    threads = [threading.Thread(target=write_and_remove, args=(number,)) for number in range(4)]
    errors: list[object] = []
    hook, threading.excepthook = threading.excepthook, lambda found: errors.append(found.exc_value)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    assert errors == []


def age_if_there(folder: Path) -> None:
    try:
        age(folder, 3 * GRACE_SECONDS)
    except FileNotFoundError:
        return
