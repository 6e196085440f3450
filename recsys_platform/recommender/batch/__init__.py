"""Recommendation lists computed on a Spark cluster.

Belongs here: the Spark job. Does not: ranking on one machine (ranking/).
"""
