{#
    All times are UTC, kept as `timestamp` without zone. Text that is no time, and a time outside the years 1 to 9999
    (which the Python side could not hold), becomes NULL: `int_events__validated` names such records, no query fails on
    them.
#}

{# ISO 8601 text; an offset is honoured, text without one is UTC. #}
{% macro timestamp_from_iso(text) -%}
    {{ return(adapter.dispatch('timestamp_from_iso')(text)) }}
{%- endmacro %}


{% macro duckdb__timestamp_from_iso(text) -%}
    {%- set instant = "try_cast(" ~ text ~ " as timestamptz) at time zone 'UTC'" -%}
    case
        when {{ instant }} between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999' then {{ instant }}
    end
{%- endmacro %}


{% macro snowflake__timestamp_from_iso(text) -%}
    cast(convert_timezone('UTC', try_to_timestamp_tz({{ text }})) as timestamp_ntz)
{%- endmacro %}


{# Milliseconds since 1970 as text. #}
{% macro timestamp_from_epoch_ms(text) -%}
    {{ return(adapter.dispatch('timestamp_from_epoch_ms')(text)) }}
{%- endmacro %}


{% macro duckdb__timestamp_from_epoch_ms(text) -%}
    case
        when try_cast({{ text }} as bigint) between -62135596800000 and 253402300799999
            then make_timestamp_ms(try_cast({{ text }} as bigint))
    end
{%- endmacro %}


{% macro snowflake__timestamp_from_epoch_ms(text) -%}
    case
        when try_to_number({{ text }}) between -62135596800000 and 253402300799999
            then to_timestamp_ntz(try_to_number({{ text }}), 3)
    end
{%- endmacro %}


{# Seconds since 1970 as text, with or without a fraction. #}
{% macro timestamp_from_epoch_s(text) -%}
    {{ return(adapter.dispatch('timestamp_from_epoch_s')(text)) }}
{%- endmacro %}


{% macro duckdb__timestamp_from_epoch_s(text) -%}
    case
        when try_cast({{ text }} as double) between -62135596800 and 253402300799
            then make_timestamp_ms(cast(try_cast({{ text }} as double) * 1000 as bigint))
    end
{%- endmacro %}


{% macro snowflake__timestamp_from_epoch_s(text) -%}
    case
        when try_to_double({{ text }}) between -62135596800 and 253402300799
            then to_timestamp_ntz(cast(try_to_double({{ text }}) * 1000 as integer), 3)
    end
{%- endmacro %}
