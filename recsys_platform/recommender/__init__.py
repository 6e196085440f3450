"""The recommender. Its folders follow the data: data, models, ranking, evaluation, registry, training, lists.

Belongs here: everything that can be computed from arrays and frames. Does not: SQL (warehouse/), Dagster (defs/), HTTP
(serving/). A folder imports only those before it. Data scientists edit variants.yaml and list_rules.yaml.
"""
