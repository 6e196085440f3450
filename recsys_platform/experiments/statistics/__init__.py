"""Statistics of experiments, from sums over readers alone.

Belongs here: estimators, intervals, tests, planning, health checks and the decision, as pure functions of numbers and arrays.
Does not: how the sums are computed (dbt marts), what is drawn or stored, who sees which variant (assignment.py).
"""
