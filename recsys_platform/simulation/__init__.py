"""A world of readers and books with known tastes: the demo, the tests and the load tests feed on it.

Belongs here: the truth, the behaviour that follows from it, the trackers that record it, the attribute endpoints.
Does not: anything that the pipeline reads; it sees landing objects and HTTP answers, never the truth.
"""
