"""Amazon Data Firehose: a producer that sends records to it, and an emulator that runs without AWS.

Belongs here: the limits of the service, sending within them, and delivery of records as objects into the hub. Does not: the content of
records, reading the objects (ingestion/).
"""
