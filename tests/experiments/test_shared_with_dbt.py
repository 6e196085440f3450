"""What Python and the dbt project both say about experiments is the same."""

import re
from typing import get_args

import yaml

from recsys_platform.experiments.metric_days import METRICS, PRE_DAYS
from recsys_platform.experiments.plans import MetricName
from recsys_platform.transform.dbt import ROOT
from tests.support import experiment_worlds

MACROS = (ROOT / "macros" / "experiment_marts.sql").read_text(encoding="utf-8")


def test_the_pre_period_is_as_long_in_the_marts_as_in_read_outs() -> None:
    variables = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]
    assert variables["pre_period_days"] == PRE_DAYS == experiment_worlds.PRE_DAYS
    assert variables["experiment_days"] == experiment_worlds.COUNTED_DAYS


def test_a_plan_may_name_the_metrics_that_the_marts_have() -> None:
    listed = MACROS.partition("experiment_metrics()")[2].partition("endmacro")[0]
    in_marts = set(re.findall(r"'(\w+)':", listed))
    assert in_marts == set(METRICS) == set(get_args(MetricName)) == set(experiment_worlds.NAMES)
