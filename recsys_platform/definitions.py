"""The Definitions: loads defs/, gives the assets their resources and maps global policies over them; nothing else."""

import datetime as dt
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from recsys_platform import defs as defs_folder
from recsys_platform.config.factories import hub_of, list_rules_of, prepare_home, registry_of, variants_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.automation.triggers import triggers
from recsys_platform.defs.exports.reading_copy import analytics_copy
from recsys_platform.defs.publishing.assets import published_tables
from recsys_platform.defs.reports.step_meter import measuring_executor
from recsys_platform.defs.training.assets import training_assets
from recsys_platform.defs.transform.assets import dbt_models
from recsys_platform.defs.transform.project import InstalledDbt, dbt_project
from recsys_platform.recommender.lists.publication import rules_version
from recsys_platform.transform.dbt import OUR_DBT, target_folder

FRESH_DAILY = {"landing", "marts", "published"}
ENGINES = {"local": "duckdb", "aws": "snowflake"}
OWNERS = {"training": "team:data-science", "models": "team:data-science", "published": "team:data-science"}


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads: the world that the environment names."""
    return build_defs(load_settings())


def build_defs(settings: Settings, *, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole platform for one world; tests may swap resources."""
    prepare_home(settings)
    # Not `load_from_defs_folder`: that looks for a pyproject.toml, which an installed package is without.
    loaded = dg.ComponentTree.from_module(defs_module=defs_folder, project_root=Path(__file__).parent).build_defs()
    resources = {**resources_of(settings), **(resource_overrides or {})}
    # A process a step would pay for the imports, five seconds and more, each time; DuckDB has one writer anyway.
    own = dg.Definitions(resources=resources, executor=measuring_executor(settings.env))
    whole = dg.Definitions.merge(loaded, own, _assets_of(settings), triggers(settings))
    lists = rules_version(list_rules_of(settings), settings.list_length)
    return whole.map_asset_specs(func=partial(_with_policies, engine=ENGINES[settings.env], lists=lists))


def _assets_of(settings: Settings) -> dg.Definitions:
    """The assets that follow from settings and from the files of the world; all others are found in defs/."""
    models = dbt_models(dbt_project(target_folder(settings.home)))
    lists = published_tables(list_rules_of(settings))
    return dg.Definitions(assets=[models, analytics_copy(models.keys), *training_assets(variants_of(settings)), lists])


def resources_of(settings: Settings) -> dict[str, Any]:
    """The resources by name, as plain objects of the packages below."""
    return {
        "settings": settings,
        "hub": hub_of(settings),
        "warehouse": warehouse_of(settings),
        "registry": registry_of(settings),
        "variants": variants_of(settings),
        "list_rules": list_rules_of(settings),
        "dbt": InstalledDbt(project_dir=dbt_project(target_folder(settings.home)), dbt_executable=str(OUR_DBT)),  # type: ignore[arg-type]
    }


def _with_policies(spec: dg.AssetSpec, *, engine: str, lists: str) -> dg.AssetSpec:
    """Global policies: who owns an asset, how old it may get, which engine of all those that could holds it, how lists are made."""
    layer = spec.key.path[0]
    if layer == "published":
        spec = spec.replace_attributes(code_version=lists)
    if spec.kinds & set(ENGINES.values()):
        spec = spec.replace_attributes(kinds={*spec.kinds.difference(ENGINES.values()), engine})
    owners = spec.owners or [OWNERS.get(layer, "team:data-platform")]
    if layer not in FRESH_DAILY:
        return spec.replace_attributes(owners=owners)
    policy = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36), warn_window=dt.timedelta(hours=26))
    return spec.replace_attributes(owners=owners, freshness_policy=policy)
