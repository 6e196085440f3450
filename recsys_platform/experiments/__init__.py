"""Experiments: evaluate recommendation policies on logged exposures and clicks.

Belongs here: off-policy estimators and the evaluation of published lists. Does not: offline evaluation (recommender/evaluation/).
"""
