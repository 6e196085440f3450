"""The models, all behind one small protocol.

Belongs here: one module a model, each with its parameters, its fit function and its arrays. Does not: ranking, which is
the same for all of them (ranking/top_k.py), and where versions are kept (registry/versions.py).
"""
