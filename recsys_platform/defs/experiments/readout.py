"""The read-outs of the experiments that have a plan."""

import base64
from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.table_metadata import markdown
from recsys_platform.experiments.changes import audited_changes, store_ranges
from recsys_platform.experiments.plots import lifts_plot
from recsys_platform.experiments.published_policies import PolicyReport, evaluate_published
from recsys_platform.experiments.readouts import (
    ExperimentReport,
    off_policy_rows,
    read_experiment,
    readers_text,
    reading_rows,
    segment_rows,
)
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.serving.routing_files import experiments_of
from recsys_platform.warehouse.port import Warehouse

READOUT = dg.AssetKey(["experiments", "readout"])
CHECK = "no_experiment_is_invalid"


@dg.asset(
    key=READOUT,
    deps=[
        dg.AssetKey(["marts", name])
        for name in ("fct_experiment_assignments", "fct_experiment_metrics", "dim_users_history")
    ],
    check_specs=[
        dg.AssetCheckSpec(CHECK, asset=READOUT, description="No health rule of an experiment is broken; a warning.")
    ],
    group_name="experiments",
    kinds={"numpy"},
    pool=WAREHOUSE_WRITER,
    automation_condition=NIGHTLY,
)
def experiments_readout(
    warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Read every experiment with a plan: lifts with intervals that hold on all days, health, and the verdict in one sentence."""
    experiments = experiments_of(settings)
    store_ranges(warehouse, experiments, audited_changes(warehouse, experiments))  # of what was edited by hand too
    reports = [read_experiment(warehouse, each) for each in experiments if each.plan and each.status != "draft"]
    metadata: dict[str, Any] = {"experiments": len(reports)}
    policies = evaluate_published(warehouse) if any(each.result for each in reports) else PolicyReport()
    for report in reports:
        metadata |= _report_metadata(report, policies)
    return dg.MaterializeResult(metadata=metadata, check_results=[_validity(reports)])


def _report_metadata(report: ExperimentReport, policies: PolicyReport) -> dict[str, Any]:
    name, result = report.experiment, report.result
    if result is None:
        return {f"{name}: not read": report.why_nothing}
    picture = base64.b64encode(lifts_plot(report)).decode()
    findings = "\n".join(f"- {each.sentence}" for each in result.findings)
    return {
        f"{name}: verdict": str(result.decision.verdict),
        f"{name}: reason": result.decision.sentence,
        f"{name}: health": dg.MetadataValue.md(findings or "Nothing was found."),
        f"{name}: readers": readers_text(report),
        f"{name}: metrics": dg.MetadataValue.md(markdown(pd.DataFrame(reading_rows(result)))),
        f"{name}: plot": dg.MetadataValue.md(f"![Lift of {name} by day](data:image/png;base64,{picture})"),
        **_table(f"{name}: segments (exploratory)", segment_rows(report.segments)),
        **_table(f"{name}: off-policy estimate", off_policy_rows(report, policies)),
    }


def _table(title: str, rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    return {title: dg.MetadataValue.md(markdown(pd.DataFrame(rows)))} if rows else {}


def _validity(reports: Sequence[ExperimentReport]) -> dg.AssetCheckResult:
    invalid = [
        f"{each.experiment}: {each.result.decision.sentence}"
        for each in reports
        if each.result and each.result.decision.verdict is Verdict.INVALID
    ]
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not invalid,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(invalid) or f"{len(reports)} experiments are valid or have nothing to read",
    )
