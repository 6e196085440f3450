{#
    The `valid_to` of rows whose key is gone: the newest day of the snapshot's own query, instead of dbt's current time.

    So `valid_to` is a snapshot day like the other dates of a history table, and a later build gives the same table. It is NULL
    if the query has no rows, and then no row is closed. Every snapshot of this project must have a column `snapshot_date`.
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
    The id of a version. dbt's own is a hash of key and time, which is the same for the two versions of a day that was fetched
    twice; Snowflake's MERGE would confuse them. This one includes the number of earlier versions of the key.
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
        {#- dbt's name for the new rows that it compares with an existing history is `snapshot_query`. -#}
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

    The table is named twice on purpose: a CTE that is read twice would be materialised with all its days.
#}
{% macro newest_snapshot(relation) -%}
    select *
    from {{ relation }}
    where snapshot_date = (select max(snapshot_date) from {{ relation }})
{%- endmacro %}
