"""The event stream: a producer that sends records to Amazon Data Firehose, and a stand-in for it that runs without AWS.

Belongs here: the service's limits, sending within them, and what the service does with a record until it is an object in the hub.
Does not: what a record says (the packages that log), reading the objects again (framing.py, warehouse/).
"""
