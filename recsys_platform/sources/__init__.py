"""Sources other than the live event stream: REST endpoints, your own files, other deliveries' event files; and a Firehose emulator.

Belongs here: fetching, reading and importing into the hub. Does not: loading into the warehouse (ingestion/).
"""
