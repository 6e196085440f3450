"""The warehouse: one small port, an engine behind it, and the load ledger.

Belongs here: connections, raw and ops tables, loading objects, swapping published tables.
Does not: transformations (dbt_project/), framing of records (events/).
"""
