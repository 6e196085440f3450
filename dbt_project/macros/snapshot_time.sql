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
    The id of a version, in place of dbt's own, which is that of key and time: a day that was fetched twice has two versions of
    one time, and Snowflake's MERGE would take the second for the first. Here the number of the key's earlier versions
    is part of it.
#}
{% macro duckdb__snapshot_hash_arguments(args) -%}
    {{ version_hash(args) }}
{%- endmacro %}


{% macro snowflake__snapshot_hash_arguments(args) -%}
    {{ version_hash(args) }}
{%- endmacro %}


{% macro version_hash(args) -%}
    {%- set key = config.get('unique_key') -%}
    {%- set history = adapter.get_relation(this.database, this.schema, this.identifier) if execute -%}
    {%- set earlier -%}
        {#- `snapshot_query` is what dbt names the rows that it compares with those of a history that is there. -#}
        {%- if history -%}
            (select count(*) from {{ history }} as versions where versions.{{ key }} = snapshot_query.{{ key }})
        {%- else -%}
            0
        {%- endif -%}
    {%- endset -%}
    {{ hashed_key(args + [earlier]) }}
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
