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
from recsys_platform.experiments.plots import lifts_plot
from recsys_platform.experiments.readouts import ExperimentReport, read_experiment, reading_rows
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.serving.routing_files import experiments_of
from recsys_platform.warehouse.port import Warehouse

READOUT = dg.AssetKey(["experiments", "readout"])
CHECK = "no_experiment_is_invalid"


@dg.asset(
    key=READOUT,
    deps=[dg.AssetKey(["marts", "fct_recommendation_requests"]), dg.AssetKey(["marts", "fct_events"])],
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
    reports = [
        read_experiment(warehouse, each) for each in experiments_of(settings) if each.plan and each.status != "draft"
    ]
    metadata: dict[str, Any] = {"experiments": len(reports)}
    for report in reports:
        metadata |= _report_metadata(report)
    return dg.MaterializeResult(metadata=metadata, check_results=[_validity(reports)])


def _report_metadata(report: ExperimentReport) -> dict[str, Any]:
    name, result = report.experiment, report.result
    if result is None:
        return {f"{name}: not read": report.why_nothing}
    picture = base64.b64encode(lifts_plot(report)).decode()
    findings = "\n".join(f"- {each.sentence}" for each in result.findings)
    return {
        f"{name}: verdict": str(result.decision.verdict),
        f"{name}: reason": result.decision.sentence,
        f"{name}: health": dg.MetadataValue.md(findings or "Nothing was found."),
        f"{name}: readers": ", ".join(f"{variant} {count:,}" for variant, count in (report.readers or {}).items()),
        f"{name}: metrics": dg.MetadataValue.md(markdown(pd.DataFrame(reading_rows(result)))),
        f"{name}: plot": dg.MetadataValue.md(f"![Lift of {name} by day](data:image/png;base64,{picture})"),
    }


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
