"""Assets of serving.

Belongs here: what the recommendation API reads. Does not: the API (serving/).
"""
