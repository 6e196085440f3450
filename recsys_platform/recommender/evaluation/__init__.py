"""Offline evaluation: metrics of recommendations on held-out interactions.

Belongs here: metrics, confidence intervals, drift. Does not: promotion (registry/), off-policy evaluation (experiments/).
"""
