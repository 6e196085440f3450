"""The open recommendation platform: landing files to measured recommendations, orchestrated by Dagster.

The folders follow the data: events, hub, warehouse, (dbt_project), recommender, defs.
"""
