"""The dbt project from Python: its manifest, its command, its docs.

Belongs here: finding, parsing and running dbt_project/. Does not: SQL of models (dbt_project/), Dagster (defs/transform/).
"""
