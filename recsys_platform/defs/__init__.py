"""The Dagster definitions, a thin layer over the other packages, with one folder for each stage of the pipeline.

Belongs here: assets, checks, sensors, schedules and how they are run. Does not: anything worth calling from a notebook.
"""
