"""`recsys kpis`: the scorecard of the last months, on a table made by hand; no run."""

from pathlib import Path

import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

SCORECARD = """
    create schema if not exists marts;
    create table marts.rpt_kpi_scorecard as
    select
        *,
        case kpi when 'retention' then 'Subscribers kept' else 'Counted' end as definition,
        case when kpi = 'tools' then 'kpi_inputs' else 'events' end as source
    from (values
        ('retention', 'all', 'all', 'Retention', 'share', 'off target', null, 0.25, null, 0.4, null, false, true, date '2026-09-01'),
        ('retention', 'all', 'all', 'Retention', 'share', 'on target', null, 0.5, 0.475, 0.4, null, true, true, date '2026-10-01'),
        ('retention', 'all', 'all', 'Retention', 'share', 'no data', null, null, null, 0.4, null, null, false, date '2026-11-01'),
        ('tools', 'all', 'all', 'Tools', 'tools', 'on target', 'example', 11, null, 8, 12, true, true, date '2026-10-01'),
        ('tools', 'all', 'all', 'Tools', 'tools', 'not told', null, null, null, 8, 12, null, false, date '2026-11-01'),
        ('ctr', 'surface', 'home [x]', 'CTR', 'share', 'no target', null, 0.125, null, null, null, null, true, date '2026-10-01'),
        ('ctr', 'surface', 'home [x]', 'CTR', 'share', 'no target', null, 0, 0.1, null, null, null, false, date '2026-11-01')
    ) as rows (
        kpi, segmented_by, segment, label, unit, status, told_by, value, value_a_year_before, target_min, target_max,
        is_on_target, is_complete, month_start
    )"""
TABLE = (
    "KPI target 2026-10 2026-11* a year before surface home [x] 12.5% 0.0% 10.0% "
    "Retention ≥ 40.0% 50.0% ✓ – – Tools 8 to 12 11 ✓ not told – "
    "✓ on target, ✗ off target. * The month is not complete. Inputs told by example (seed kpi_inputs)."
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A world whose warehouse is empty."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    settings = load_settings()
    prepare_home(settings)
    DuckDBWarehouse(settings.warehouse_path).prepare()
    return settings


def test_the_last_months_are_printed_with_targets_and_what_nobody_told_is_said(home: Settings, run_recsys) -> None:
    with DuckDBWarehouse(home.warehouse_path).connect() as con:
        con.execute(SCORECARD)
    assert run_recsys("kpis", "--months", "2") == (0, TABLE)
    assert run_recsys("kpis", "--months", "2", "--definitions") == (
        0,
        f"{TABLE} Retention: Subscribers kept Tools: Counted",
    )


def test_without_a_scorecard_one_sentence_says_what_to_do(home: Settings, run_recsys) -> None:
    sentence = "error: There is no KPI scorecard yet: load events and run `recsys run`."
    assert run_recsys("kpis") == (1, sentence)
