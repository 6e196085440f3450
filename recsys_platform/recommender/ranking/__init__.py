"""Ranking: the best books per reader, from scores.

Belongs here: top-k selection and its compiled loops. Does not: scores (models/), which books may be listed (lists/).
"""
