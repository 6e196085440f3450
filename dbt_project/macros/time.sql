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
    {%- set instant = duckdb__epoch_us(text) -%}
    case when {{ duckdb__is_of_years_1_to_9999(instant) }} then make_timestamp({{ instant }}) end
{%- endmacro %}


{#
    Microseconds since 1970: a number costs half of what a conversion between time zones does. DuckDB on its own would take
    `9/6/06` for a day of the year 9.
#}
{% macro duckdb__epoch_us(text) -%}
    epoch_us(case when {{ text }} like '____-__-__%' then try_cast({{ text }} as timestamptz) end)
{%- endmacro %}


{% macro duckdb__is_of_years_1_to_9999(microseconds) -%}
    {{ microseconds }} between -62135596800000000 and 253402300799999999
{%- endmacro %}


{# Without an offset Snowflake would take the zone of the session, and digits alone for seconds since 1970. #}
{% macro snowflake__timestamp_from_iso(text) -%}
    case
        when {{ text }} not like '____-__-__%' then null
        when regexp_like({{ text }}, '.*:[^+-]*([zZ]|[+-][0-9:]+)')
            then cast(convert_timezone('UTC', try_to_timestamp_tz({{ text }})) as timestamp_ntz(6))
        else cast(try_to_timestamp_ntz({{ text }}) as timestamp_ntz(6))
    end
{%- endmacro %}


{#
    A date as catalogues write it: ISO 8601; a year (`2008`, `2008.0`) is its first day, a month (`2008-05`) too; eight digits
    are a day; nine to eleven seconds since 1970, twelve to fourteen milliseconds. Where day or month may come first it is NULL.
#}
{% macro timestamp_from_date_text(text) -%}
    {%- set whole = "regexp_replace(" ~ text ~ ", '[.]0+$', '')" -%}
    {%- set rest = "translate(" ~ whole ~ ", '0123456789', '')" -%}
    case
        when {{ rest }} = '' and length({{ whole }}) between 3 and 4
            then {{ timestamp_from_iso("concat(lpad(" ~ whole ~ ", 4, '0'), '-01-01')") }}
        when {{ rest }} = '-' and length({{ whole }}) = 7 and substr({{ whole }}, 5, 1) = '-'
            then {{ timestamp_from_iso("concat(" ~ whole ~ ", '-01')") }}
        when {{ rest }} = '' and length({{ whole }}) = 8
            then {{ timestamp_from_iso(
                "concat(substr(" ~ whole ~ ", 1, 4), '-', substr(" ~ whole ~ ", 5, 2), '-', substr(" ~ whole ~ ", 7, 2))"
            ) }}
        when {{ rest }} = '' and length({{ whole }}) between 9 and 11 then {{ timestamp_from_epoch_s(whole) }}
        when {{ rest }} = '' and length({{ whole }}) between 12 and 14 then {{ timestamp_from_epoch_ms(whole) }}
        else {{ timestamp_from_iso(text) }}
    end
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


{#
    When something happened on a device whose clock may be wrong, as Segment corrects it:
    `received − (sent − original)`. How far the clock is off cancels out, since the device wrote both `sent` and
    `original`; only `received` is a server's. Takes ISO 8601 texts; NULL unless all three are readable and the device
    took less than a century to send.

    https://segment.com/docs/connections/spec/common/#timestamps
#}
{% macro corrected_for_clock_skew(received, sent, original) -%}
    {{ return(adapter.dispatch('corrected_for_clock_skew')(received, sent, original)) }}
{%- endmacro %}


{% macro duckdb__corrected_for_clock_skew(received, sent, original) -%}
    {%- set waited = "(" ~ duckdb__epoch_us(sent) ~ " - " ~ duckdb__epoch_us(original) ~ ")" -%}
    {%- set instant = duckdb__epoch_us(received) ~ " - " ~ waited -%}
    case
        when abs{{ waited }} < 3155760000000000 and {{ duckdb__is_of_years_1_to_9999(instant) }}
            then make_timestamp({{ instant }})
    end
{%- endmacro %}


{% macro snowflake__corrected_for_clock_skew(received, sent, original) -%}
    {%- set waited -%}
        timestampdiff(
            'microsecond', {{ snowflake__timestamp_from_iso(original) }}, {{ snowflake__timestamp_from_iso(sent) }}
        )
    {%- endset -%}
    case
        when abs({{ waited }}) < 3155760000000000
            then timestampadd('microsecond', -{{ waited }}, {{ snowflake__timestamp_from_iso(received) }})
    end
{%- endmacro %}


{# A timestamp as text that casts back to it: on its own Snowflake would leave out what is finer than a millisecond. #}
{% macro timestamp_as_text(timestamp) -%}
    {{ return(adapter.dispatch('timestamp_as_text')(timestamp)) }}
{%- endmacro %}


{% macro duckdb__timestamp_as_text(timestamp) -%}
    cast({{ timestamp }} as varchar)
{%- endmacro %}


{% macro snowflake__timestamp_as_text(timestamp) -%}
    to_varchar({{ timestamp }}, 'YYYY-MM-DD HH24:MI:SS.FF6')
{%- endmacro %}


{# Whole microseconds since 1970: a timestamp in a hash, the same on each engine. #}
{% macro microseconds_of(timestamp) -%}
    {{ return(adapter.dispatch('microseconds_of')(timestamp)) }}
{%- endmacro %}


{% macro duckdb__microseconds_of(timestamp) -%}
    epoch_us({{ timestamp }})
{%- endmacro %}


{% macro snowflake__microseconds_of(timestamp) -%}
    date_part(epoch_microsecond, {{ timestamp }})
{%- endmacro %}


{# A time, earlier by a text's number of seconds, whose sign does not count; as it is where the text is none of some years. #}
{% macro seconds_before(time, text) -%}
    case
        when {{ time }} >= cast('1970-01-01' as timestamp) and abs(try_cast({{ text }} as double)) < 1000000000
            then {{ dbt.dateadd('second', '-cast(abs(try_cast(' ~ text ~ ' as double)) as integer)', time) }}
        else {{ time }}
    end
{%- endmacro %}
