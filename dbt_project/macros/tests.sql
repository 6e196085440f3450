{#
    In place of dbt's own: a test with `where: recent by <column>` looks at the last days of a large table only (variable
    `tested_days`), so that testing costs what a day brings and not what history holds. That no row is lost or double in all
    of it, `rpt_event_conservation` proves on every build. Days to come do not count as the last ones, but are tested as well.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if not where -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- if where.startswith('recent by ') -%}
        {%- set column = where.removeprefix('recent by ') -%}
        {#- One row of a day to come must not hide all others. -#}
        {%- set newest = '(select max(' ~ column ~ ') from ' ~ relation ~ ' where ' ~ column ~ ' < ' ~ day_after_today() ~ ')' -%}
        {%- set where = column ~ ' > ' ~ dbt.dateadd('day', -var('tested_days'), newest) -%}
    {%- endif -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') dbt_subquery') }}
{%- endmacro %}


{# Tomorrow (a timestamp, UTC): what is dated later is of the future, whatever the zone of whoever dated it. #}
{% macro day_after_today() -%}
    {%- set today = modules.datetime.datetime.now(modules.pytz.utc) -%}
    cast('{{ (today + modules.datetime.timedelta(days=1)).strftime('%Y-%m-%d') }} 23:59:59' as timestamp)
{%- endmacro %}
