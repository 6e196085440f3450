{#
    In place of dbt's own: a test with `where: recent by <column>` looks at the last days of a large table only (variable
    `tested_days`), so that testing costs what a day brings and not what history holds. That no row is lost or double in all
    of it, `rpt_event_conservation` proves on every build.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- if where.startswith('recent by ') -%}
        {%- set column = where.removeprefix('recent by ') -%}
        {%- set newest = '(select max(' ~ column ~ ') from ' ~ relation ~ ')' -%}
        {%- set where = column ~ ' > ' ~ dbt.dateadd('day', -var('tested_days'), newest) -%}
    {%- endif -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') dbt_subquery') }}
{%- endmacro %}
