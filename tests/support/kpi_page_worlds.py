"""Marts of a few rows that the KPI page reads, for both engines; values that a test can look for."""

import datetime as dt
from collections.abc import Iterator

from tests.support.experiment_worlds import TABLES, Row, insertions, request

NOW = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
EVIL = "<script>alert('x')</script>"
"""A name that a page must show as it is."""
_QUOTED = EVIL.replace("'", "''")

_SEPTEMBER, _OCTOBER, _NOVEMBER = (f"date '2026-{month:02}-01'" for month in (9, 10, 11))
_CTR = "'CTR', 'share', 'no target', null"
_TTI = "'Interactions', 'readers', 'no target', null"
_RATE = "'Customer retention', 'share'"
_CLICKS = "'clicks', 'all', 'all', 'Click-through rate (CTR)', 'share'"
_REVENUE = "'revenue', 'all', 'all', 'Monthly recurring revenue (MRR)', 'base currency'"
_COST = "'cost_to_revenue', 'all', 'all', 'Cost to revenue', 'share'"
SCORECARD = f"""
    create table marts.rpt_kpi_scorecard as
    select
        given.*,
        cast(null as date) as as_of,
        cast(null as double) as denominator,
        'What is counted' as definition,
        case kpi when 'cost_to_revenue' then 'kpi_inputs' else 'events' end as source
    from (values
        ('retention', 'all', 'all', {_RATE}, 'off target', null, 1.0, 0.25, null, 0.4, null, false, true, {_SEPTEMBER}),
        ('retention', 'all', 'all', {_RATE}, 'on target', null, 2.0, 0.5, 0.475, 0.4, null, true, true, {_OCTOBER}),
        ('retention', 'all', 'all', {_RATE}, 'off target', null, 1.0, 0.125, null, 0.4, null, false, false, {_NOVEMBER}),
        ({_COST}, 'no target', '{_QUOTED}', 1200.0, 0.75, null, null, null, null, true, {_SEPTEMBER}),
        ({_COST}, 'not reported', null, null, null, null, null, null, null, true, {_OCTOBER}),
        ({_COST}, 'not reported', null, null, null, null, null, null, null, false, {_NOVEMBER}),
        ({_CLICKS}, 'no data', null, 0.0, null, null, null, null, null, true, {_OCTOBER}),
        ({_CLICKS}, 'no target', null, 3.0, 0.013, null, null, null, null, false, {_NOVEMBER}),
        ({_REVENUE}, 'on target', null, 3.0, 1234567.891, 1034567.891, 1000000.0, 2000000.0, true, true, {_OCTOBER}),
        ('ctr', 'personalisation', 'personalised', {_CTR}, 1.0, 0.24, null, null, null, null, true, {_OCTOBER}),
        ('ctr', 'personalisation', 'not personalised', {_CTR}, 1.0, 0.11, null, null, null, null, true, {_OCTOBER}),
        ('ctr', 'personalisation', 'personalised', {_CTR}, 1.0, 0.29, null, null, null, null, false, {_NOVEMBER}),
        ('ctr', 'personalisation', 'not personalised', {_CTR}, 1.0, 0.19, null, null, null, null, false, {_NOVEMBER}),
        ('tti', 'personalisation', 'personalised', {_TTI}, 1.0, 31.0, null, null, null, null, true, {_OCTOBER}),
        ('tti', 'personalisation', 'not personalised', {_TTI}, 0.0, null, null, null, null, null, true, {_OCTOBER}),
        ('tti', 'personalisation', 'personalised', {_TTI}, 1.0, 32.0, null, null, null, null, false, {_NOVEMBER}),
        ('tti', 'personalisation', 'not personalised', {_TTI}, 1.0, 22.0, null, null, null, null, false, {_NOVEMBER}),
        ('ctr', 'surface', '{_QUOTED}', {_CTR}, 1.0, 0.17, null, null, null, null, true, {_OCTOBER})
    ) as given (
        kpi, segmented_by, segment, label, unit, status, reported_by, numerator, value, value_a_year_before, target_min, target_max,
        is_on_target, is_complete, month_start
    )"""
ACTIVE = """
    create table marts.rpt_active_readers as
    select *
    from (values
        (10, 20, 40, 0.25, true, date '2026-11-16'),
        (12, 24, 48, 0.25, true, date '2026-11-17'),
        (1, 23, 47, 0.021, false, date '2026-11-18')
    ) as given (
        daily_active_readers, weekly_active_readers, monthly_active_readers, stickiness, is_complete, date_day
    )"""
COHORTS = """
    create table marts.rpt_retention_cohorts as
    select *
    from (values
        ('all', 'all', 'day', 1, 10, 0.3, false, true, date '2026-11-02'),
        ('all', 'all', 'day', 30, 4, 0.9, false, false, date '2026-11-02'),
        ('all', 'all', 'day', 1, 8, 0.0, true, true, date '2026-10-26'),
        ('tier', 'premium', 'day', 1, 3, 0.7, false, true, date '2026-11-02'),
        ('tier', 'premium', 'day', 1, 9, 0.8, false, true, date '2026-11-09')
    ) as given (segmented_by, segment, period, period_number, readers, retention, is_left_censored, is_complete, cohort_week)"""
COVERAGE = """
    create table marts.rpt_catalog_coverage as
    select *
    from (values
        (date '2026-11-02', 'exposures', 'all', 900, 30, 0.6, 0.4, 12.5, true),
        (date '2026-11-09', 'exposures', 'all', 1000, 20, 0.4, 0.55, 9.5, true),
        (date '2026-11-09', 'reads', 'all', 50, 10, 0.2, 0.7, null, true),
        (date '2026-11-09', 'exposures', 'blend', 1000, 20, 0.4, 0.55, 9.5, true)
    ) as given (week_start, counted, model, total, books, coverage, top_tenth_share, effective_books, is_complete)"""
CONSERVATION = """
    create table marts.rpt_event_conservation as
    select *
    from (values (date '2026-11-16', 'segment', 7, 5, 1, 1), (date '2026-11-17', 'segment', 90, 88, 2, 0)) as given (
        arrived_on, source, accepted, distinct_events, duplicates, invalid
    )"""
ROLES = """
    create table published.model_roles as
    select *
    from (values
        ('production', 'blend-v7', 'production', true, 'gate', timestamp '2026-11-17 04:00:00', 'It is better than popularity.'),
        ('challenger', 'ease-v3', 'challenger', false, 'canary', timestamp '2026-11-16 04:00:00', 'Its canary is complete.'),
        ('popularity', 'popularity-v2', 'baseline', false, 'gate', null, 'The fallback.')
    ) as given (model, model_version, role, is_live, chosen_by, chosen_at, why)"""
EVALUATIONS = """
    insert into ops.model_evaluations values
    ('a', timestamp '2026-11-16 04:00:00', 'blend', 'all', 'ndcg', 10, 500, 0.15, 0.14, 0.16, 'liked', null),
    ('a', timestamp '2026-11-16 04:00:00', 'popularity', 'all', 'ndcg', 10, 500, 0.1, 0.09, 0.11, 'liked', null),
    ('b', timestamp '2026-11-17 04:00:00', 'blend', 'all', 'ndcg', 10, 510, 0.2, 0.19, 0.21, 'liked', null),
    ('b', timestamp '2026-11-17 04:00:00', 'blend', 'all', 'coverage', 10, 510, 0.45, null, null, 'liked', null),
    ('b', timestamp '2026-11-17 04:00:00', 'popularity', 'all', 'ndcg', 10, 510, 0.1, 0.09, 0.11, 'liked', null)"""
DAILY_COSTS = """
    create table marts.rpt_cost_daily as
    select *
    from (values
        ('all', 'all', 30.0, date '2026-11-18'),
        ('asset', 'models/blend', 20.0, date '2026-11-18'),
        ('asset', 'not attributed', 10.0, date '2026-11-18'),
        ('all', 'all', 17.0, date '2026-11-17'),
        ('asset', 'marts/fct_events', 17.0, date '2026-11-17'),
        ('all', 'all', 99.0, date '2026-10-19')
    ) as given (segmented_by, segment, cost, cost_on)"""
"""The newest 30 days cost 47, for 47 readers."""
LEDGER = """
    insert into ops.load_ledger values
    ('engagement_events/source=segment/2026/11/17/05/a.gz', 'e', 3000000, 100, 97, 3, timestamp '2026-11-17 06:00:00')"""
PEOPLE = (
    "create table marts.dim_users as select 'u1' as user_id",
    "create table marts.dim_books as select 'b1' as book_id",
    "create table marts.fct_events as select cast('2026-11-17 00:00:00' as timestamp) as occurred_at",
)
STEPS = """
    insert into ops.canary_steps values
    ('0', 'canary_ease', '3', 'ease-v3', 5, 0, 'complete', 'complete: all traffic', 'canary', timestamp '2026-11-16 04:00:00'),
    ('1', 'canary_blend', '8', 'blend-v8', 0, 1, 'running', 'the canary has started', 'ann', timestamp '2026-11-19 05:00:00'),
    ('2', 'canary_blend', '8', 'blend-v8', 1, 5, 'running', 'advanced to 5 %', 'canary', timestamp '2026-11-19 07:00:00'),
    ('3', 'canary_blend', '8', 'blend-v8', 1, 0, 'rolled back', 'rolled back: errors', 'canary', timestamp '2026-11-20 05:00:00')"""
MARTS = (
    *TABLES,
    *PEOPLE,
    SCORECARD,
    ACTIVE,
    COHORTS,
    COVERAGE,
    CONSERVATION,
    ROLES,
    EVALUATIONS,
    DAILY_COSTS,
    LEDGER,
    STEPS,
)

EXPERIMENTS = """
sound:
  variants: {control: {model: production, weight: 50}, treatment: {model: challenger, weight: 50}}
  surfaces: [home]
  plan: {starts_on: 2026-11-02, days: 60, primary: {ctr: 0.02}, guardrails: {clicks: 0.1}}
lopsided:
  variants: {control: {model: production, weight: 50}, treatment: {model: challenger, weight: 50}}
  surfaces: [email]
  plan: {starts_on: 2026-11-02, days: 3, primary: {ctr: 0.02}}
unplanned:
  variants: {one: {model: challenger, weight: 50}}
  surfaces: [push]
"""


def visits() -> list[Row]:
    """Readers of two experiments: one whose groups are as planned, one that lost readers of the treatment."""
    groups = (("sound", 300, 300), ("lopsided", 300, 120))
    rows = [
        request(
            f"{name}-{variant}{at}",
            at % 4,
            books=10,
            clicked=2 + at % 3 // 2,
            variant=variant,
            experiment=name,
        )
        for name, *sizes in groups
        for variant, size in zip(("control", "treatment"), sizes, strict=True)
        for at in range(size)
    ]
    return [*rows, request("late", 5)]


def statements() -> Iterator[str]:
    """What makes the world in a warehouse that is prepared."""
    yield from MARTS
    yield from insertions(visits())
