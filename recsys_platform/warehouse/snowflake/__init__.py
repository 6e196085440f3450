"""The Snowflake engine: the same tables, the same decisions, in an account in the cloud.

Belongs here: connecting, carrying tables over an external stage, what the port asks of a warehouse, and the scripts (`*.sql`) by which
an administrator sets an account up. Does not: what a record must carry (validation.py), which `staging_duckdb.py` asks as DuckDB does.
"""
