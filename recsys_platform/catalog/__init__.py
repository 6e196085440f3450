"""The data catalog: which tables the hub holds, with their fields, days and sizes, and how they change.

Belongs here: schema discovery, schema history, Hive types, Glue, Athena. Does not: reading objects (hub/), the book catalog.
"""
