"""What makes another model of a dbt model, so that it is built again: its code, its macros, its variables; no comment."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from dagster_dbt import DbtProject

from recsys_platform.defs.transform import assets
from recsys_platform.defs.transform.project import dbt_project
from recsys_platform.defs.transform.versions import code_version
from recsys_platform.transform.dbt import target_folder

Manifest = dict[str, Any]
MODELS = ("stg_segment__events", "fct_interactions", "dim_books", "fct_exposures")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    return dbt_project(target_folder(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def manifest(project: DbtProject) -> Manifest:
    return dict(json.loads(project.manifest_path.read_text()))


def versions(manifest: Manifest, **variables: Any) -> dict[str, str]:
    given = {**assets.VARIABLES, **variables}
    return {name: code_version(manifest, f"model.recsys.{name}", given) for name in MODELS}


def in_macro(name: str, old: str, new: str) -> Callable[[Manifest], None]:
    def edit(manifest: Manifest) -> None:
        macro = manifest["macros"][f"macro.recsys.{name}"]
        assert old in macro["macro_sql"]
        macro["macro_sql"] = macro["macro_sql"].replace(old, new)

    return edit


def in_model(name: str, new: str) -> Callable[[Manifest], None]:
    def edit(manifest: Manifest) -> None:
        manifest["nodes"][f"model.recsys.{name}"]["raw_code"] += new

    return edit


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (in_model("dim_books", "\n-- {# read #} me\n\n"), set()),
        (in_model("dim_books", " limit 1"), {"dim_books"}),
        (in_macro("duckdb__redact_emails", "[email]", "[mail]"), {"stg_segment__events"}),
        (in_macro("duckdb__redact_emails", "case", "/* it's */ case"), set()),
        (in_macro("changed_requests", "item_number", "number"), {"fct_exposures"}),
        (in_macro("remember_build", "merge", "merge again"), set()),
    ],
)
def test_code_and_macros_make_another_model_and_comments_do_not(
    manifest: Manifest, edit: Callable[[Manifest], None], changed: set[str]
) -> None:
    edited = copy.deepcopy(manifest)
    edit(edited)
    before, after = versions(manifest), versions(edited)
    assert {name for name in MODELS if before[name] != after[name]} == changed


def test_a_macro_that_only_later_builds_call_is_part_of_the_model(manifest: Manifest) -> None:
    edited = copy.deepcopy(manifest)
    in_model("dim_books", "{% if is_incremental() %} where {{ seconds_before('a', 'b') }}{% endif %}")(edited)
    before = versions(edited)
    in_macro("seconds_before", "1000000000", "1")(edited)
    assert {name for name in MODELS if before[name] != versions(edited)[name]} >= {"dim_books"}


def test_a_variable_is_part_of_the_models_that_name_it(manifest: Manifest) -> None:
    before, after = versions(manifest), versions(manifest, liked_from=2)
    assert {name for name in MODELS if before[name] != after[name]} == {"fct_interactions"}


def test_dagster_has_these_versions(project: DbtProject, manifest: Manifest) -> None:
    specs = {spec.key.path[-1]: spec.code_version for spec in assets.dbt_models(project).specs}
    assert {name: specs[name] for name in MODELS} == versions(manifest)


def test_each_environment_has_a_parsed_project_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()
    for env in ("local", "aws"):
        monkeypatch.setenv("RECSYS_ENV", env)
        folders.add(target_folder())
    assert len(folders) == 2
