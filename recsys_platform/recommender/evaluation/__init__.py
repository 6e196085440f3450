"""How good recommendations are: on what was held out, and from what was shown.

Belongs here: metrics, intervals, drift, off-policy estimates, the report. Does not: what follows from them (registry/).
"""
