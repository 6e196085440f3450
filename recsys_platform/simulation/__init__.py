"""A simulated world of readers and books with known tastes, for the demo, tests and load tests.

Belongs here: the ground truth, reader behavior, the trackers' records, the attribute endpoints.
Does not: anything that the pipeline reads; it sees only landing objects and HTTP responses, never the ground truth.
"""
