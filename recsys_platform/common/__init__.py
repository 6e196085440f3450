"""What every other package may use: errors, AWS clients, processes and signals, words for missing values.

Belongs here: small helpers without knowledge of events, books or tables. Does not: anything that imports another package of ours.
"""
