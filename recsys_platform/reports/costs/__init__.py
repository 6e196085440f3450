"""What the platform costs: usage of runs, figures, budget, the cost of a rebuild, a sizing by events a day.

Belongs here: rows of `ops.cost_of_runs`, reading the marts of costs. Does not: measuring steps (defs/), prices (dbt's seed `prices`).
"""
