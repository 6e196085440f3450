{#
    A predicate that keeps the rows loaded since this model was last built; `true` on a first build or a full refresh.

    Exact because every load transaction carries one `loaded_at`, later than that of any load before it: rows of one
    load are seen all together or not at all. `marts.rpt_event_conservation` fails if that promise is ever broken.
#}
{% macro newly_loaded(column='loaded_at') -%}
    {%- if is_incremental() -%}
        {{ column }} > (select coalesce(max({{ column }}), cast('1970-01-01' as timestamp)) from {{ this }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
