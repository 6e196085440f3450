{#
    When a row that vanished stops being valid: the newest day of the snapshot's own query, in place of dbt's "now".

    dbt asks for this where it closes the rows of keys that are gone, so `valid_to` is a snapshot day like every other
    time in a history table, and building later gives the same table. With no day at all it is NULL: a query that found
    nothing closes nothing. Every snapshot of this project must have a column `snapshot_date`.
#}
{% macro duckdb__snapshot_get_time() -%}
    {{ newest_snapshot_date() }}
{%- endmacro %}


{% macro snowflake__snapshot_get_time() -%}
    {{ newest_snapshot_date() }}
{%- endmacro %}


{% macro newest_snapshot_date() -%}
    (select max(snapshot_date) from ({{ model['compiled_code'] }}) as newest)
{%- endmacro %}


{#
    The rows of a table's newest attribute snapshot.

    The table is named twice on purpose: a CTE read twice would be kept whole, all days of it.
#}
{% macro newest_snapshot(relation) -%}
    select *
    from {{ relation }}
    where snapshot_date = (select max(snapshot_date) from {{ relation }})
{%- endmacro %}
