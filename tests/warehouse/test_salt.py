"""Another salt than the one that hashes are made with is refused, on the way in and by the commands."""

from pathlib import Path

import dagster as dg
import pytest

from recsys_platform.common.errors import SaltError
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.run import Refresher
from recsys_platform.hub.local import FolderHub
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.salt import fingerprint
from tests.support.commands import said_by

OURS, OTHER = "the salt of this warehouse", "the salt of another one"


@pytest.fixture
def home(warehouse: DuckDBWarehouse) -> Path:
    """A world whose warehouse has a salt."""
    warehouse.ensure_salt(OURS)
    return warehouse.path.parent


def test_a_fingerprint_tells_salts_apart_and_shows_none() -> None:
    assert fingerprint(OURS) != fingerprint(OTHER)
    assert len(fingerprint(OURS)) == 8
    assert OURS not in fingerprint(OURS)


def test_a_run_with_another_salt_ends_before_anything_is_loaded(home: Path, warehouse: DuckDBWarehouse) -> None:
    settings = load_settings({"RECSYS_HOME": str(home), "RECSYS_PII_SALT": OTHER})
    refresher = Refresher(
        None,  # type: ignore[arg-type]  # what the graph holds is asked later
        dg.Definitions,
        settings,
        hub=FolderHub(home / "hub"),
        warehouse=warehouse,
        listener=lambda *_: None,
    )
    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(SaltError, match=f"the salt {fingerprint(OURS)}: give"),
    ):
        refresher.run(instance)


def test_a_backup_has_the_same_fingerprint_where_there_is_no_world(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.write_text(f"{OURS}\n")
    assert said_by("salt", "fingerprint", str(backup), home=tmp_path / "none") == (0, fingerprint(OURS))
    assert not (tmp_path / "none").exists()
    backup.write_text("\n")
    assert "is empty: it is no backup of the salt" in said_by("salt", "fingerprint", str(backup), home=tmp_path)[1]


def test_check_says_whether_setting_and_backup_are_the_salt_and_shows_neither(home: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.write_text(f"{OURS}\n")
    asked = ("salt", "check", "--backup", str(backup))
    assert said_by(*asked, home=home, PII_SALT=OURS) == (
        0,
        f"The warehouse hashes with the salt {fingerprint(OURS)}; RECSYS_PII_SALT and the backup agree.",
    )
    backup.write_text(OTHER)
    code, said = said_by(*asked, home=home, PII_SALT=OURS)
    assert (code, said) == (
        1,
        f"error: The backup has the fingerprint {fingerprint(OTHER)}, but the warehouse hashes with the salt {fingerprint(OURS)}.",
    )
    backup.write_text(" \n")
    assert said_by(*asked, home=home)[0] == 1


def test_a_salt_is_replaced_only_after_a_yes(home: Path, warehouse: DuckDBWarehouse) -> None:
    code, said = said_by("salt", "replace", home=home, PII_SALT=OTHER)
    assert (code, warehouse.salt_fingerprint()) == (0, fingerprint(OURS))
    assert said.startswith("Every hash of an e-mail or IP address changes")
    assert said_by("salt", "replace", "--yes", home=home, PII_SALT=OTHER) == (
        0,
        "The salt is replaced: now `recsys run --all`.",
    )
    assert warehouse.salt_fingerprint() == fingerprint(OTHER)
    assert said_by("salt", "replace", "--yes", home=home, PII_SALT=OTHER) == (0, "It is the salt already.")
    assert said_by("salt", "replace", home=home)[0] == 1
