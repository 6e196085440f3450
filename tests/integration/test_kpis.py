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
        case kpi when 'ctr' then 'CTR' when 'tools' then 'Tools' else 'Retention' end as label,
        if(kpi = 'tools', 'tools', 'share') as unit,
        if(kpi = 'retention', 'Subscribers kept', 'Counted') as definition,
        if(kpi = 'tools', 'kpi_inputs', 'events') as source,
        if(kpi = 'tools' and value is not null, 'example', null) as reported_by,
        if(kpi = 'tools' and value is not null, date '2026-10-20', null) as as_of,
        case kpi when 'retention' then 0.4 when 'tools' then 8 end as target_min,
        if(kpi = 'tools', 12, null) as target_max,
        case status when 'on target' then true when 'off target' then false end as is_on_target,
        kpi != 'tools' and month_start < date '2026-11-01' as is_complete
    from (values
        ('retention', 'all', 'all', 1, 4, 0.25, null, 'off target', date '2026-09-01'),
        ('retention', 'all', 'all', 2, 4, 0.5, 0.475, 'on target', date '2026-10-01'),
        ('retention', 'all', 'all', 0, 0, null, null, 'no data', date '2026-11-01'),
        ('retention', 'personalisation', 'not personalised', 2, 4, 0.5, null, 'on target', date '2026-10-01'),
        ('retention', 'personalisation', 'not personalised', 0, 0, null, null, 'no data', date '2026-11-01'),
        ('retention', 'personalisation', 'personalised', 0, 0, null, null, 'no data', date '2026-10-01'),
        ('retention', 'personalisation', 'personalised', 0, 0, null, null, 'no data', date '2026-11-01'),
        ('tools', 'all', 'all', 11, null, 11, null, 'on target', date '2026-10-01'),
        ('tools', 'all', 'all', null, null, null, null, 'not reported', date '2026-11-01'),
        ('ctr', 'surface', 'home [x]', 1, 8, 0.125, null, 'no target', date '2026-10-01'),
        ('ctr', 'surface', 'home [x]', 0, 8, 0, 0.1, 'no target', date '2026-11-01'),
        ('ctr', 'personalisation', 'not personalised', 0, 4, 0, null, 'no target', date '2026-10-01'),
        ('ctr', 'personalisation', 'not personalised', 0, 4, 0, null, 'no target', date '2026-11-01'),
        ('ctr', 'personalisation', 'personalised', 1, 4, 0.25, null, 'no target', date '2026-10-01'),
        ('ctr', 'personalisation', 'personalised', 0, 4, 0, null, 'no target', date '2026-11-01')
    ) as rows (kpi, segmented_by, segment, numerator, denominator, value, value_a_year_before, status, month_start)"""
TABLE = (
    "KPI target 2026-10 2026-11* a year before "
    "not personalised 0.0% 0.0% – personalised 25.0% 0.0% – surface home [x] 12.5% 0.0% 10.0% "
    "Retention ≥ 40.0% 50.0% ✓ – – Tools 8 to 12 11* ✓ not reported – "
    "✓ on target, ✗ off target. * The month is not complete, or the figure was reported before its end. "
    "Inputs reported by example, last on 2026-10-20 (seed kpi_inputs)."
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
    # Nobody was shown a personalised list who subscribed: retention has nothing to compare.
    assert run_recsys("kpis", "--months", "2") == (0, TABLE)
    assert run_recsys("kpis", "--months", "2", "--definitions") == (
        0,
        f"{TABLE} Retention: Subscribers kept Tools: Counted",
    )


def test_without_a_scorecard_one_sentence_says_what_to_do(home: Settings, run_recsys) -> None:
    sentence = "error: There is no KPI scorecard yet: load events and run `recsys run`."
    assert run_recsys("kpis") == (1, sentence)
