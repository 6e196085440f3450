"""Recommendation lists: from scores to published tables.

Belongs here: rules, diversity, exploration, reasons, the published tables. Does not: scores (models/), top-k selection (ranking/).
"""
