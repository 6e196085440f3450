"""The KPI page: one self-contained HTML page with KPIs, experiments, model quality, pipeline health and cost.

Belongs here: what each section says and its charts, as texts and coordinates. Does not: what a KPI means (dbt), the statistics of
experiments (experiments/), Dagster's state (defs/); the last two hand over what they know (content.py).
"""
