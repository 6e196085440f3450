"""The KPI page says the same on both engines."""

from pathlib import Path
from typing import Any

import pytest
from snowflake.connector import connect

from recsys_platform.common.clock import to_naive_utc
from recsys_platform.common.strict_yaml import parse_yaml
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.summaries import summarize_experiments
from recsys_platform.reports.kpi_page.page import kpi_page, page_content
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.kpi_page_worlds import EXPERIMENTS, NOW, statements


def page_of(warehouse: Warehouse) -> list[str]:
    experiments = summarize_experiments(warehouse, parse_experiments(parse_yaml(EXPERIMENTS)), NOW.date())
    return kpi_page(page_content(warehouse, experiments, None, to_naive_utc(NOW))).splitlines()


@pytest.mark.slow
def test_the_page_does_not_depend_on_the_engine(
    warehouse: SnowflakeWarehouse, account: dict[str, Any], tmp_path: Path
) -> None:
    local = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    local.prepare()
    with local.connect() as con, connect(**account) as session:
        for statement in statements():
            con.execute(statement)
            session.cursor().execute(statement)
    ours, theirs = page_of(local), page_of(warehouse)
    assert any("blend is live, with 2.0 times the NDCG of popularity" in line for line in ours)
    assert theirs == ours
