"""A variable of the dbt project is part of the models that name it."""

import pytest

from recsys_platform.defs.dbt import assets


@pytest.mark.parametrize(
    "code", ["weight >= {{ var('liked_from') }}", "{{ var('liked_from') }} and {{ var('liked_from') }}"]
)
def test_a_model_that_names_a_variable_is_another_one_with_another_value(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, other = (assets.with_variables("v1", text) for text in (code, "select 1"))
    monkeypatch.setattr(assets, "VARIABLES", {**assets.VARIABLES, "liked_from": 2})
    assert assets.with_variables("v1", code) != before
    assert assets.with_variables("v1", "select 1") == other == "v1"


def test_what_counts_as_liked_is_part_of_the_interactions() -> None:
    specs = {spec.key.path[-1]: spec for spec in assets.dbt_models.specs}
    assert str(specs["fct_interactions"].code_version).endswith(f"liked_from={assets.VARIABLES['liked_from']}")
    assert "=" not in str(specs["dim_books"].code_version)
