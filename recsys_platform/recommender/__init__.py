"""From interactions to ranked books: data sets, splits, metrics, models, evaluation, registry.

Belongs here: everything that can be computed from arrays and frames. Does not: SQL (warehouse/), Dagster (defs/), HTTP
(serving/).
"""
