"""From interactions to ranked books. The folders follow the data: data, models, ranking, evaluation, registry, training, lists.

Belongs here: everything that can be computed from arrays and frames. Does not: SQL (warehouse/), Dagster (defs/), HTTP
(serving/). A folder uses those before it, never one after it. The two files that data scientists edit stand beside them:
variants.yaml and list_rules.yaml.
"""
