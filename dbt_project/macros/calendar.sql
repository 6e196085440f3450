{# A query of all days (`date_day`) from a date up to another, which is left out; both as ISO 8601 texts. #}
{% macro days_between(first, until) -%}
    {{ return(adapter.dispatch('days_between')(first, until)) }}
{%- endmacro %}


{% macro duckdb__days_between(first, until) -%}
    select cast(range as date) as date_day
    from range(cast('{{ first }}' as timestamp), cast('{{ until }}' as timestamp), interval 1 day)
{%- endmacro %}


{% macro snowflake__days_between(first, until) -%}
    {%- set from_date, until_date = modules.datetime.date.fromisoformat(first), modules.datetime.date.fromisoformat(until) -%}
    select cast(dateadd('day', row_number() over (order by null) - 1, cast('{{ first }}' as date)) as date) as date_day
    from table(generator(rowcount => {{ (until_date - from_date).days }}))
{%- endmacro %}


{# The first day (a date) of the month of a date. #}
{% macro month_of(date) -%}
    cast({{ dbt.date_trunc('month', date) }} as date)
{%- endmacro %}


{# The Monday (a date) of the week of a date. #}
{% macro week_of(date) -%}
    cast({{ dbt.date_trunc('week', date) }} as date)
{%- endmacro %}
