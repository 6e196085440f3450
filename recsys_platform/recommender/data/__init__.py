"""What is learned from: readers, books and what happened between them, as arrays.

Belongs here: data sets, features, recency, and what is held out of them. Does not: what is learned (models/).
"""
