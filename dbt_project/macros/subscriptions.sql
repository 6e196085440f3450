{# How many months a payment for a plan covers: 12 if its name says year or annual, 3 for a quarter, else 1. #}
{% macro months_of_plan(plan) -%}
    case
        when lower({{ plan }}) like '%year%' or lower({{ plan }}) like '%annual%' then 12
        when lower({{ plan }}) like '%quarter%' then 3
        else 1
    end
{%- endmacro %}


{# The end (a timestamp) of what a payment covers. #}
{% macro paid_until(paid_at, months) -%}
    {{ dbt.dateadd('month', months, paid_at) }}
{%- endmacro %}


{# The last moment (a timestamp) at which the next payment still continues the subscription. #}
{% macro end_of_grace(paid_until) -%}
    {{ dbt.dateadd('day', var('payment_grace_days'), paid_until) }}
{%- endmacro %}
