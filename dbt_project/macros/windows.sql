{# The last value before the current row that is not NULL. #}
{% macro last_known(expression, partition_by, order_by) -%}
    {{ return(adapter.dispatch('last_known')(expression, partition_by, order_by)) }}
{%- endmacro %}


{% macro duckdb__last_known(expression, partition_by, order_by) -%}
    last_value({{ expression }} ignore nulls) over (
            partition by {{ partition_by }}
            order by {{ order_by }}
            rows between unbounded preceding and 1 preceding
        )
{%- endmacro %}


{% macro snowflake__last_known(expression, partition_by, order_by) -%}
    last_value({{ expression }}) ignore nulls over (
            partition by {{ partition_by }}
            order by {{ order_by }}
            rows between unbounded preceding and 1 preceding
        )
{%- endmacro %}


{# The first value after the current row that is not NULL. #}
{% macro next_known(expression, partition_by, order_by) -%}
    {{ return(adapter.dispatch('next_known')(expression, partition_by, order_by)) }}
{%- endmacro %}


{% macro duckdb__next_known(expression, partition_by, order_by) -%}
    first_value({{ expression }} ignore nulls) over (
            partition by {{ partition_by }}
            order by {{ order_by }}
            rows between 1 following and unbounded following
        )
{%- endmacro %}


{% macro snowflake__next_known(expression, partition_by, order_by) -%}
    first_value({{ expression }}) ignore nulls over (
            partition by {{ partition_by }}
            order by {{ order_by }}
            rows between 1 following and unbounded following
        )
{%- endmacro %}


{# One comparable value that orders events by time, and events of the same time by `tie`. #}
{% macro moment_of(time, tie) -%}
    {{ return(adapter.dispatch('moment_of')(time, tie)) }}
{%- endmacro %}


{% macro duckdb__moment_of(time, tie) -%}
    row({{ time }}, {{ tie }})
{%- endmacro %}


{% macro snowflake__moment_of(time, tie) -%}
    to_varchar({{ time }}, 'YYYYMMDDHH24MISSFF6') || coalesce(cast({{ tie }} as varchar), '')
{%- endmacro %}
