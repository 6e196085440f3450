"""Experiments: who sees which variant, what the results mean, and what another policy would have done.

Belongs here: assignment, statistics and decisions of A/B tests, canaries, off-policy estimators and the evaluation of published lists.
Does not: offline evaluation (recommender/evaluation/).
"""
