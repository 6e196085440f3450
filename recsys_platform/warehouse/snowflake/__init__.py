"""The Snowflake engine: the same tables as on DuckDB, in an account.

Belongs here: sessions, bulk loads over an external stage, raw and ops tables, publishing, and the setup scripts (`*.sql`) for an
administrator. Does not: which records are accepted (ingestion/).
"""
