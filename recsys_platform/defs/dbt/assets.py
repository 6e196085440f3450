"""Every dbt model and seed as an asset, every dbt data test as a check; facts about models live in dbt's YAML."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets

from recsys_platform.defs.automation.conditions import ON_NEWS
from recsys_platform.defs.dbt.project import PROJECT
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.settings import Settings

# "buildable": a run of some models runs their tests and those on what they read, not those on tables made from them later.
BUILD = ["build", "--exclude-resource-type", "unit_test", "--indirect-selection", "buildable"]


class Translator(DagsterDbtTranslator):
    """dbt's schemas are our groups; every model follows news from upstream, whichever day it arrived."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """The spec of one model or seed."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec.replace_attributes(
            deps=[_on_every_day(dep) for dep in spec.deps], group_name=spec.key.path[0], automation_condition=ON_NEWS
        )


def _on_every_day(dep: dg.AssetDep) -> dg.AssetDep:
    is_raw = dep.asset_key.path[0] == "raw"
    return dg.AssetDep(dep.asset_key, partition_mapping=dg.AllPartitionMapping()) if is_raw else dep


@dbt_assets(
    manifest=PROJECT.manifest_path,
    project=PROJECT,
    exclude="source:published",  # tables that Python writes later in the graph: the publishing assets check them
    dagster_dbt_translator=Translator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False)),
    pool=WAREHOUSE_WRITER,
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, settings: dg.ResourceParam[Settings]
) -> Iterator[Any]:
    """`dbt build`: staging, intermediate and marts, and their tests."""
    with home_for_dbt(settings):
        run = dbt.cli(BUILD, context=context, target_path=settings.home / "dbt")
        try:
            yield from run.stream().fetch_row_counts().fetch_column_metadata()
        finally:
            _let_go(run.adapter)


def _let_go(adapter: Any) -> None:
    """Close what reading row counts opened, read-only, in this process: nothing could write the DuckDB file from here."""
    environment = getattr(adapter.connections, "_ENV", None)
    if environment is not None:
        adapter.connections.cleanup_all()
        environment.close()
        adapter.connections.close_all_connections()


@contextmanager
def home_for_dbt(settings: Settings) -> Iterator[None]:
    """The absolute home for `profiles.yml`, which dbt reads from the environment, in this block only."""
    before = os.environ.get("RECSYS_HOME")
    os.environ["RECSYS_HOME"] = str(settings.home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["RECSYS_HOME"]
        else:
            os.environ["RECSYS_HOME"] = before
