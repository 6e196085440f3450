{#
    Overrides dbt's macro: `where: recent by <column>` limits a test to the last days of a large table (variable
    `tested_days`), so that its cost does not grow with history. `rpt_event_conservation` shows on every build that no row of
    the whole history is lost or double. Rows dated in the future are tested too, but do not count as the last days.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- if where.startswith('recent by ') -%}
        {%- set column = where.removeprefix('recent by ') -%}
        {#- A row dated in the future must not move the limit. -#}
        {%- set newest = '(select max(' ~ column ~ ') from ' ~ relation ~ ' where ' ~ column ~ ' < ' ~ day_after_today() ~ ')' -%}
        {%- set where = column ~ ' > ' ~ dbt.dateadd('day', -var('tested_days'), newest) -%}
    {%- endif -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') dbt_subquery') }}
{%- endmacro %}


{# The end of tomorrow (a timestamp, UTC): a later date is in the future in every time zone. #}
{% macro day_after_today() -%}
    {%- set today = modules.datetime.datetime.now(modules.pytz.utc) -%}
    cast('{{ (today + modules.datetime.timedelta(days=1)).strftime('%Y-%m-%d') }} 23:59:59' as timestamp)
{%- endmacro %}
