"""Model versions that nobody needs go, and nothing goes that somebody needs."""

import datetime as dt
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.promotion import GATE, roll_back
from recsys_platform.recommender.registry.retention import expendable_versions
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Change, Registry, VersionInfo

START = dt.datetime(2026, 11, 1)


def version(number: int, variant: str = "ease", recipe: str = "", **more: object) -> VersionInfo:
    """A version that nobody named."""
    given = {
        "version": str(number), "variant": variant, "created_at": START + dt.timedelta(days=number), "content": str(number),
        "data_hash": str(number), "recipe_hash": recipe or variant, "catalogue_hash": "c", "data_from": "", "data_to": "",
        "metrics": {}, "aliases": (), "rolled_back": False, "pinned": False,
    }  # fmt: skip
    return VersionInfo(**{**given, **more})  # type: ignore[arg-type]


def change(after: int, who: str = GATE, alias: str = PRODUCTION) -> Change:
    """One change of an alias; they are listed newest first."""
    return Change(START, who, alias, None, str(after), "why")


FIVE = [version(number) for number in (5, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    ("versions", "history", "newest", "going"),
    [
        ([], [], 1, []),
        (FIVE, [], 5, []),
        (FIVE, [], 2, ["3", "2", "1"]),
        ([*FIVE, version(0, "als")], [], 2, ["3", "2", "1"]),
        ([version(3), version(2), version(1, aliases=(PRODUCTION,))], [], 1, ["2"]),
        ([version(3), version(2, aliases=("ours",)), version(1)], [], 1, ["1"]),
        ([version(3), version(2, pinned=True), version(1)], [], 1, ["1"]),
        (FIVE, [change(2, who="anna", alias=CHALLENGER)], 1, ["4", "3", "1"]),
        (FIVE, [change(3, who="gate for anna", alias=CHALLENGER)], 1, ["4", "3", "2", "1"]),
        (FIVE, [change(2), change(1)], 1, ["4", "3", "1"]),
        ([*FIVE, version(0, recipe="old")], [change(4), change(0)], 1, ["3", "2", "1"]),
        ([version(3), version(2, recipe="old"), version(1, recipe="old")], [change(3), change(1)], 1, []),
        ([version(3), version(2, rolled_back=True), version(1, rolled_back=True)], [], 1, ["1"]),
        ([version(3), version(2)], [change(1), change(3)], 1, ["2"]),
    ],
    ids=[
        "none", "few", "newest of a variant", "of each variant", "live", "named by an alias", "pinned", "promoted by a person",
        "kept for a person on newer data",
        "once live of the same recipe", "the recipe before", "the newest of the recipe before", "rolled back", "removed before",
    ],
)  # fmt: skip
def test_what_goes(versions: list[VersionInfo], history: list[Change], newest: int, going: list[str]) -> None:
    assert [each.version for each in expendable_versions(versions, history, newest=newest)] == going


def test_a_version_stays_that_may_be_removed_by_age_of_none() -> None:
    """Whatever is removed again and again, a second time removes nothing."""
    versions, history = FIVE, [change(2), change(1, who="anna")]
    going = {each.version for each in expendable_versions(versions, history, newest=1)}
    left = [each for each in versions if each.version not in going]
    assert expendable_versions(left, history, newest=1) == []


@pytest.fixture
def registry(new_registry: Callable[[Path], Registry], tmp_path: Path) -> Registry:
    return new_registry(tmp_path / "models")


def log(registry: Registry, number: int, recipe: int = 0) -> str:
    """One more version of a variant."""
    facts = Provenance(START + dt.timedelta(days=number), str(number), "0.1", params={"recipe": recipe})
    return registry.log("ease", {"number": np.array([number])}, facts)


def test_a_removed_version_leaves_no_file_and_no_run(registry: Registry) -> None:
    first, second = log(registry, 1), log(registry, 2)
    assert registry.size_of(first) > 0
    registry.remove(first)
    assert [each.version for each in registry.versions()] == [second]
    assert len(list((registry.root / "artifacts").iterdir())) == 1
    assert registry.load(second).arrays["number"] == [2]
    with pytest.raises(RegistryError, match=f"There is no model version {first}"):
        registry.load(first)
    with sqlite3.connect(registry.root / "mlflow.db") as con:
        assert con.execute("select count(*) from runs").fetchone() == (1,)


def test_a_version_in_use_is_not_removed(registry: Registry) -> None:
    live = log(registry, 1)
    registry.set_alias(PRODUCTION, live, why="to see")
    with pytest.raises(RegistryError, match="is production and cannot be removed"):
        registry.remove(live)


def test_a_rollback_finds_its_version_after_a_retention(registry: Registry) -> None:
    for number, recipe in enumerate((1, 1, 1, 2, 2, 2, 2)):
        registry.set_alias(PRODUCTION, log(registry, number, recipe), why="newer", who=GATE)
    for each in expendable_versions(registry.versions(), registry.history(), newest=1):
        registry.remove(each.version)
    assert [each.version for each in registry.versions()] == ["7", "3"]
    assert roll_back(registry, why="it was worse")[1].version == "3"


def test_a_pinned_version_is_kept_until_it_is_left_to_the_retention_again(registry: Registry) -> None:
    first, _ = log(registry, 1), log(registry, 2)
    registry.pin(first)
    assert expendable_versions(registry.versions(), registry.history(), newest=1) == []
    registry.pin(first, pinned=False)
    assert [each.version for each in expendable_versions(registry.versions(), [], newest=1)] == [first]


KILLED = """
import os, signal, sys
from pathlib import Path
from recsys_platform.recommender.registry.versions import MODEL, Registry
registry = Registry(Path(sys.argv[1]))
run = registry._start_run(MODEL, "ease", {})
Path(sys.argv[1], "artifacts", run.run_id).mkdir(parents=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_run_of_a_killed_process_ends_with_the_next_that_is_stored(registry: Registry) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(registry.root)], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert statuses(registry) == ["RUNNING"]
    log(registry, 1)
    assert statuses(registry) == ["FINISHED", "KILLED"]
    assert len(list((registry.root / "artifacts").iterdir())) == 1


def statuses(registry: Registry) -> list[str]:
    """Of all runs."""
    with sqlite3.connect(registry.root / "mlflow.db") as con:
        return sorted(status for (status,) in con.execute("select status from runs"))
