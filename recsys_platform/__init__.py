"""The open recommendation platform: landing files to measured recommendations, orchestrated by Dagster.

The folders follow the data: sources, hub, ingestion, warehouse, (dbt_project), recommender, exports, reports; defs/ runs them.
"""
