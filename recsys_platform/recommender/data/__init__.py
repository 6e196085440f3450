"""Data sets: readers, books and interactions as arrays.

Belongs here: data sets, features, time decay, train/test splits. Does not: models (models/).
"""
