"""Data that does not come through Firehose: JSON endpoints, files of people and of other trackers; and a Firehose emulator.

Belongs here: fetching, reading, importing into the hub. Does not: loading into the warehouse (ingestion/).
"""
