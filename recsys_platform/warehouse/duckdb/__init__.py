"""The DuckDB engine: one file, one writer at a time.

Belongs here: connections, raw and ops tables, publishing, the reading copy. Does not: what a record must carry (ingestion/).
"""
