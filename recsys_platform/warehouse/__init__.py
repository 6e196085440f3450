"""The warehouse: one small port, an engine behind it, and the load ledger.

Belongs here: connections, writing raw and ops tables, publishing. Does not: which records are accepted (ingestion/), transformations
(dbt_project/).
"""
