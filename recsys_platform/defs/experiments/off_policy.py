"""Off-policy evaluation of the published lists."""

import base64
from typing import Any

import dagster as dg
import pandas as pd

from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.table_metadata import markdown
from recsys_platform.experiments.plots import policies_plot
from recsys_platform.experiments.published_policies import PolicyReport, as_frame, evaluate_published
from recsys_platform.warehouse.port import Warehouse

OFF_POLICY = dg.AssetKey(["models", "off_policy"])


@dg.asset(
    key=OFF_POLICY,
    deps=[dg.AssetKey(["marts", "fct_exposures"]), dg.AssetKey(["published", "user_recommendations"])],
    group_name="experiments",
    kinds={"numpy"},
    pool=WAREHOUSE_WRITER,
    automation_condition=NIGHTLY,
)
def off_policy(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Estimate the clicks of every model's published lists from explored exposures: a screen before an A/B test."""
    report = evaluate_published(warehouse)
    return dg.MaterializeResult(metadata={**_exposure_metadata(report), **_estimate_metadata(report)})


def _exposure_metadata(report: PolicyReport) -> dict[str, Any]:
    left_out = pd.DataFrame({"why": list(report.left_out), "exposures": list(report.left_out.values())})
    days = {"days left out": ", ".join(map(str, report.days))} if report.days else {}
    return {
        "exposures used": report.used,
        "exposures left out": sum(report.left_out.values()),
        "left out": dg.MetadataValue.md(markdown(left_out)),
        **days,
    }


def _estimate_metadata(report: PolicyReport) -> dict[str, Any]:
    if report.why_nothing:
        return {"not judged": report.why_nothing}
    picture = base64.b64encode(policies_plot(report)).decode()
    return {
        "policies": dg.MetadataValue.md(markdown(as_frame(report))),
        "plot": dg.MetadataValue.md(f"![Clicks under each policy](data:image/png;base64,{picture})"),
        **{f"{each.estimator}_{model}": each.value for model, each in report.estimates},
    }
