"""An analyst who computes an assignment in SQL gets the one of the API."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recsys_platform.experiments.assignment import Experiments
from recsys_platform.experiments.buckets import bucket, bucket_sql
from recsys_platform.experiments.changes import store_ranges
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.dbt_world import World
from tests.support.units import units_of_all_scripts

VARIANTS = {"control": {"model": "production", "weight": 33.33}, "treatment": {"model": "challenger", "weight": 12}}
THIRDS = {name: {"model": "production", "weight": weight} for name, weight in (("a", 60), ("b", 5), ("c", 20))}
DEFINED = parse_experiments(
    {
        "holdout": {"percent": 10},
        "new_blend": {"variants": VARIANTS, "surfaces": ["page"]},
        "trial": {"variants": VARIANTS, "surfaces": ["home"], "salt": "l'été: 1"},
        "first": {"variants": THIRDS, "surfaces": ["email"], "layer": "ranking"},
        "second": {
            "variants": VARIANTS | {"control": {"model": "17", "weight": 3}},
            "surfaces": ["email"],
            "layer": "ranking",
        },
    }
)


@pytest.fixture(scope="module")
def world(new_world: Callable[[], World]) -> World:
    made = new_world()
    store_ranges(DuckDBWarehouse(made.home / "warehouse.duckdb"), DEFINED, [])
    return made


def compiled(world: World, text: str) -> str:
    result = world.dbt("compile", "--inline", text)
    assert result.success, result.exception
    return str(result.result.results[0].node.compiled_code)


def test_the_bucket_in_sql_is_that_of_python_for_100_000_ids_of_all_scripts(world: World) -> None:
    units = units_of_all_scripts(100_000)
    call = compiled(world, "{{ experiment_bucket(\"'l''été: 1'\", 'unit') }}")
    assert "".join(call.split()) == "".join(bucket_sql("'l''été: 1'", "unit").split())
    with world.connect() as con:
        con.register("units", pa.table({"unit": units}))
        found = con.execute(f"select unit, {call} from units").fetchall()
    assert len(found) == 100_000
    assert [(unit, at) for unit, at in found if at != bucket("l'été: 1", unit)] == []


@pytest.mark.parametrize("name", ["trial", "first", "second"])
def test_the_variants_in_sql_are_those_of_the_api_holdout_and_layers_included(world: World, name: str) -> None:
    units = units_of_all_scripts(5_000)
    with world.connect() as con:
        con.execute("create or replace table marts_units as select unnest(?) as unit", [units])
        found = dict(con.execute(compiled(world, f"{{{{ experiment_variants('{name}', 'marts_units') }}}}")).fetchall())
    surface = {"trial": "home"}.get(name, "email")
    assert found == expected(DEFINED, units, name, surface)
    assert len(set(found.values())) == len(next(each for each in DEFINED if each.name == name).variants)


def test_the_queries_of_the_page_give_the_variants_of_the_api(world: World) -> None:
    page = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
    with_macro, plain = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    (trial,) = (each for each in DEFINED if each.name == "new_blend")
    for unit in units_of_all_scripts(3_000)[-30:]:
        literal = f"'{unit.replace(chr(39), chr(39) * 2)}'"
        found = world.rows(plain.replace("'u0000007'", literal))
        variant = trial.variant_of(unit)
        assert found == ([(variant.name, None)] if variant else [])
    readers = "select * from (values ('u1', 'de'), ('u2', 'fr')) as readers (user_id, language)"
    with world.connect() as con:
        con.execute(f"create or replace table marts.dim_users as {readers}")
    assert dict(world.rows(compiled(world, with_macro))) == expected(DEFINED, ["u1"], "new_blend", "page")


def expected(experiments: Experiments, units: list[str], name: str, surface: str) -> dict[str, Any]:
    given = ((unit, experiments.assign(unit, surface)) for unit in units)
    return {unit: each.variant.name for unit, each in given if each and each.experiment == name}
