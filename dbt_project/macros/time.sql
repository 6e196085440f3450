{#
    All times are UTC, stored as `timestamp` without time zone. Text that is not a time, and times outside the years 1 to 9999
    (the range of Python's datetime), become NULL. No query fails on them; `int_events__validated` reports such records.
#}

{# A timestamp from ISO 8601 text. Text without an offset is UTC. #}
{% macro timestamp_from_iso(text) -%}
    {{ return(adapter.dispatch('timestamp_from_iso')(text)) }}
{%- endmacro %}


{% macro duckdb__timestamp_from_iso(text) -%}
    {%- set instant = duckdb__epoch_us(text) -%}
    case when {{ duckdb__is_of_years_1_to_9999(instant) }} then make_timestamp({{ instant }}) end
{%- endmacro %}


{#
    Microseconds since 1970: half the cost of a conversion between time zones. The pattern is needed, since DuckDB reads `9/6/06` as
    a day of the year 9.
#}
{% macro duckdb__epoch_us(text) -%}
    epoch_us(case when {{ text }} like '____-__-__%' then try_cast({{ text }} as timestamptz) end)
{%- endmacro %}


{% macro duckdb__is_of_years_1_to_9999(microseconds) -%}
    {{ microseconds }} between -62135596800000000 and 253402300799999999
{%- endmacro %}


{# Snowflake by itself reads text without an offset in the session's time zone, and digits alone as seconds since 1970. #}
{% macro snowflake__timestamp_from_iso(text) -%}
    case
        when {{ text }} not like '____-__-__%' then null
        when regexp_like({{ text }}, '.*:[^+-]*([zZ]|[+-][0-9:]+)')
            then cast(convert_timezone('UTC', try_to_timestamp_tz({{ text }})) as timestamp_ntz(6))
        else cast(try_to_timestamp_ntz({{ text }}) as timestamp_ntz(6))
    end
{%- endmacro %}


{#
    A timestamp from a date as item catalogs write it: ISO 8601; a year (`2008`, `2008.0`) or a month (`2008-05`) as its first day;
    eight digits as a day, nine to eleven as seconds since 1970, twelve to fourteen as milliseconds. NULL where day or month may
    come first.
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


{# A timestamp from milliseconds since 1970 as text. #}
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


{# A timestamp from seconds since 1970 as text, with or without a fraction. #}
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
    The time of an event on a device whose clock may be wrong, corrected as Segment does: `received − (sent − original)`. The
    device wrote both `sent` and `original`, so the error of its clock cancels out; a server wrote `received`. Takes ISO 8601
    texts. NULL unless all three can be parsed and less than a century lies between `original` and `sent`.

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


{# A timestamp as text that casts back to it. Snowflake's default format would drop microseconds. #}
{% macro timestamp_as_text(timestamp) -%}
    {{ return(adapter.dispatch('timestamp_as_text')(timestamp)) }}
{%- endmacro %}


{% macro duckdb__timestamp_as_text(timestamp) -%}
    cast({{ timestamp }} as varchar)
{%- endmacro %}


{% macro snowflake__timestamp_as_text(timestamp) -%}
    to_varchar({{ timestamp }}, 'YYYY-MM-DD HH24:MI:SS.FF6')
{%- endmacro %}


{# Microseconds since 1970, for a hash of a timestamp that is the same on both engines. #}
{% macro microseconds_of(timestamp) -%}
    {{ return(adapter.dispatch('microseconds_of')(timestamp)) }}
{%- endmacro %}


{% macro duckdb__microseconds_of(timestamp) -%}
    epoch_us({{ timestamp }})
{%- endmacro %}


{% macro snowflake__microseconds_of(timestamp) -%}
    date_part(epoch_microsecond, {{ timestamp }})
{%- endmacro %}


{# A time minus the absolute number of seconds in a text; unchanged if the text is not a number of at most some 30 years. #}
{% macro seconds_before(time, text) -%}
    case
        when {{ time }} >= cast('1970-01-01' as timestamp) and abs(try_cast({{ text }} as double)) < 1000000000
            then {{ dbt.dateadd('second', '-cast(abs(try_cast(' ~ text ~ ' as double)) as integer)', time) }}
        else {{ time }}
    end
{%- endmacro %}
