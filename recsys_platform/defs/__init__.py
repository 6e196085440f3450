"""The asset graph: a thin Dagster shell over the plain packages, one folder a stretch of the road.

Belongs here: assets, checks, sensors, schedules and how they are run. Does not: anything worth calling from a notebook.
"""
