"""The files of a world: read when its definitions are built, copied for editing, never half understood."""

from pathlib import Path

import pytest

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.factories import list_rules_of, variants_of
from recsys_platform.config.settings import load_settings
from recsys_platform.config.world_files import DEFAULTS, NAMES
from recsys_platform.definitions import build_defs
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.lists.list_rules import load_list_rules
from recsys_platform.recommender.training.variants import load_variants


def world(home: Path, **environ: str):
    return load_settings({"RECSYS_HOME": str(home), **environ})


def code_versions(home: Path, **environ: str) -> dict[str, str | None]:
    """The code version of each asset, by its key."""
    specs = build_defs(world(home, **environ)).resolve_all_asset_specs()
    return {spec.key.to_user_string(): spec.code_version for spec in specs}


def test_a_world_without_files_of_its_own_has_the_defaults(tmp_path):
    assert variants_of(world(tmp_path)) == load_variants()
    assert list_rules_of(world(tmp_path)) == load_list_rules()


def test_init_copies_the_defaults_once_and_keeps_what_was_edited(run_recsys, tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    assert run_recsys("init")[0] == 0
    assert {path.name: path.read_text() for path in (tmp_path / "config").iterdir()} == {
        name: (DEFAULTS / name).read_text() for name in NAMES
    }
    (tmp_path / "config" / "variants.yaml").write_text("als: {}")
    code, said = run_recsys("init")
    assert code == 0
    assert "variants.yaml: kept as it is" in said
    assert set(variants_of(world(tmp_path))) == {"popularity", "als"}


def test_copies_of_the_defaults_are_no_news_and_an_edited_file_is_news_for_what_follows_from_it(tmp_path):
    before = code_versions(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((DEFAULTS / name).read_bytes())
    assert code_versions(tmp_path, RECSYS_CONFIG_DIR=str(folder)) == before
    (folder / "variants.yaml").write_text("als: {}\nsmall: {model: ease, regularization: 30}")
    (folder / "list_rules.yaml").write_text("reranking: {diversity: 0.2}")
    after = code_versions(tmp_path, RECSYS_CONFIG_DIR=str(folder))
    assert after.keys() ^ before.keys() == {
        "models/small",
        *(f"models/{name}" for name in load_variants() if name not in ("popularity", "als")),
    }
    changed = {key for key in after.keys() & before.keys() if after[key] != before[key]}
    assert changed == {"models/evaluation", *(key for key in after if key.startswith("published/"))}


def test_a_folder_that_does_not_exist_is_named_with_what_creates_it(run_recsys, tmp_path, monkeypatch):
    folder = tmp_path / "nothing"
    with pytest.raises(SettingsError, match=r"RECSYS_CONFIG_DIR=.*nothing is not a folder: `recsys init` creates it"):
        variants_of(world(tmp_path, RECSYS_CONFIG_DIR=str(folder)))
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECSYS_CONFIG_DIR", str(folder))
    assert run_recsys("init")[0] == 0
    assert variants_of(world(tmp_path, RECSYS_CONFIG_DIR=str(folder))) == load_variants()


def test_a_file_that_nothing_reads_and_a_wrong_value_are_named_with_the_file(tmp_path):
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "variants.yml").write_text("als: {}")
    with pytest.raises(
        SettingsError, match=r"config/variants.yml is not read: rename it to one of variants.yaml, list_rules"
    ):
        variants_of(world(tmp_path))
    (folder / "variants.yml").rename(folder / "variants.yaml")
    (folder / "variants.yaml").write_text("popularity: {model: als}")
    with pytest.raises(ModelError, match=r"config/variants\.yaml: the variant popularity is the baseline"):
        build_defs(world(tmp_path))
