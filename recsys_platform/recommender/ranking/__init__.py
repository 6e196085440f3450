"""The best books of each reader, from scores.

Belongs here: the selection and its compiled loops, on one machine and by Spark. Does not: whose scores
(models/), what may be listed (lists/).
"""
