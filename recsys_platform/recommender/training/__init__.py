"""Train, tune, evaluate and register variants.

Belongs here: the variants and their training. Does not: the models (models/), the metrics (evaluation/).
"""
