"""Helpers for every other package: errors, clock, AWS clients, processes and signals, placeholders of missing values.

Belongs here: small helpers that know nothing of events, books or tables. Does not: anything that imports another package of ours.
"""
