"""What a person can do about models from the command line, in a tiny world that was copied to another place."""

import datetime as dt
import io
from dataclasses import replace

from rich.console import Console

from recsys_platform.cli.output.models import print_rolled_back
from recsys_platform.config.factories import registry_of
from recsys_platform.config.settings import load_settings
from recsys_platform.recommender.registry.versions import PRODUCTION, VersionInfo


def test_versions_are_listed_put_into_use_and_taken_back(trained_world, run_recsys):
    registry = registry_of(load_settings({"RECSYS_HOME": str(trained_world)}))
    live = registry.info(registry.version_of(PRODUCTION))
    other = next(each for each in registry.versions() if each.variant not in {live.variant, "popularity"})
    code, said = run_recsys("models")
    assert code == 0
    assert "production" in said
    assert live.variant in said

    code, said = run_recsys("promote", other.version, "--reason", "a trial")
    assert (code, f"{other.label} is now production." in said) == (0, True)
    code, said = run_recsys("models", "--history")
    assert (code, "a trial" in said) == (0, True)

    code, said = run_recsys("rollback", "--reason", "it was worse")
    assert code == 0
    assert f"{live.label} is in production again instead of {other.label}" in said
    assert registry.version_of(PRODUCTION) == live.version
    code, said = run_recsys("models")
    assert "rolled back" in said


def test_what_cannot_be_put_into_use_is_one_sentence(trained_world, run_recsys):
    code, said = run_recsys("promote", "999")
    assert (code, "There is no model version 999" in said) == (1, True)
    code, said = run_recsys("rollback")
    assert (code, "There is no earlier production recipe" in said) == (1, True)


def test_a_rollback_over_a_new_item_catalog_says_what_readers_wait_for() -> None:
    """Gateways load no model about other books than those of today."""
    given = {
        "data_hash": "d",
        "recipe_hash": "r",
        "data_from": "",
        "data_to": "",
        "metrics": {},
        "aliases": (),
        "rolled_back": False,
        "pinned": False,
    }
    before = VersionInfo("2", "blend", dt.datetime(2026, 11, 2), "c2", catalogue_hash="new books", **given)
    after = VersionInfo("1", "ease", dt.datetime(2026, 11, 1), "c1", catalogue_hash="old books", **given)
    for same, waits in ((after, True), (replace(after, catalogue_hash="new books"), False)):
        text = io.StringIO()
        print_rolled_back(Console(file=text, width=1_000), before, same)
        assert ("readers keep blend-v2 until a run has trained it" in text.getvalue()) is waits
