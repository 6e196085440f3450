"""Models, all with the same protocol.

Belongs here: one module per model, with its parameters, its fit function and its arrays. Does not: ranking, which all models share
(ranking/top_k.py), storing versions (registry/versions.py).
"""
