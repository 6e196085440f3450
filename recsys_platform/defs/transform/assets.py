"""Every dbt model and seed as an asset, every dbt data test as a check. Metadata of models is in dbt's YAML files."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import yaml
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets

from recsys_platform.common.errors import BudgetError
from recsys_platform.config.dbt_profile import environment_for_dbt
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import ON_CHANGE
from recsys_platform.defs.pools import OVER_BUDGET, REBUILD, WAREHOUSE_WRITER
from recsys_platform.defs.reports.cost_of_runs import require_budget_now
from recsys_platform.defs.transform.versions import code_version
from recsys_platform.transform.dbt import BUILD, NOT_OURS, ROOT
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import row_counts

UNTRACKED = frozenset({dg.AssetKey(["raw", "pii_salt"]), dg.AssetKey(["ops", "cost_of_runs"])})
"""Tables excluded from lineage, so that they trigger nothing: the salt, and what each run used, which views of costs read as it is."""


class Translator(DagsterDbtTranslator):
    """Groups are dbt's schemas unless its YAML names one; every model is materialized when any upstream partition changes."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """The spec of one model or seed."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        group = spec.group_name if spec.group_name not in (None, "default") else spec.key.path[0]
        deps = [_on_every_day(dep) for dep in spec.deps if dep.asset_key not in UNTRACKED]
        is_model = unique_id.startswith("model.")
        version = code_version(manifest, unique_id, VARIABLES) if is_model else spec.code_version
        return spec.replace_attributes(
            deps=deps, group_name=group, automation_condition=ON_CHANGE, code_version=version
        )


def _on_every_day(dep: dg.AssetDep) -> dg.AssetDep:
    is_raw = dep.asset_key.path[0] == "raw"
    return dg.AssetDep(dep.asset_key, partition_mapping=dg.AllPartitionMapping()) if is_raw else dep


VARIABLES: Mapping[str, Any] = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]


def dbt_models(project: DbtProject) -> dg.AssetsDefinition:
    """Every model and seed of a project as one set of assets, built together."""
    as_assets = dbt_assets(
        manifest=project.manifest_path,
        project=project,
        exclude=NOT_OURS,
        dagster_dbt_translator=Translator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False)),
        pool=WAREHOUSE_WRITER,
        name="dbt_models",
    )
    return as_assets(_dbt_build_events)


def _dbt_build_events(
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> Iterator[Any]:
    """`dbt build` of staging, intermediate and marts, with their tests."""
    if REBUILD in context.run.tags and OVER_BUDGET not in context.run.tags:
        _require_budget(context, warehouse, settings)
    warehouse.ensure_salt(settings.plain_salt)
    with environment_for_dbt(settings):
        build = [*BUILD, "--full-refresh"] if REBUILD in context.run.tags else BUILD
        run = dbt.cli(build, context=context, target_path=settings.home / "dbt", raise_on_error=False)
        events = list(run.stream())  # exhaust it first: while dbt runs, only dbt may open the DuckDB file
    yield from with_row_counts(context, warehouse, events)
    error = run.get_error()
    if error:
        raise dg.Failure(_dbt_error_line(str(error)), allow_retries=False)


def _require_budget(context: dg.AssetExecutionContext, warehouse: Warehouse, settings: Settings) -> None:
    """Refuse a rebuild that exceeds the budget, also one that the UI started."""
    try:
        warning = require_budget_now(context.instance, warehouse, settings)
    except BudgetError as error:
        raise dg.Failure(f"{error} In the UI: add the tag {OVER_BUDGET}.", allow_retries=False) from error
    if warning:
        context.log.warning(warning)


def with_row_counts(context: dg.AssetExecutionContext, warehouse: Warehouse, events: list[Any]) -> Iterator[Any]:
    """Add the row count to the events of built tables."""
    built = [e.output_name if isinstance(e, dg.Output) else None for e in events]
    names = [".".join(context.asset_key_for_output(name).path) if name else "" for name in built]
    counts = row_counts(warehouse, [name for name in names if name])
    for event, name in zip(events, names, strict=True):
        row_count = {"dagster/row_count": counts[name]} if name in counts else {}
        yield event.with_metadata({**event.metadata, **row_count}) if row_count else event


def _dbt_error_line(message: str) -> str:
    """dbt's own error message on one line."""
    return " ".join(message.partition("Errors parsed from dbt logs:")[2].split())[:600] or message.splitlines()[0]
