{# Text as a whole number (`4.0` is 4); NULL when it is no number or too large for an integer. #}
{% macro integer_from_text(text) -%}
    {{ return(adapter.dispatch('integer_from_text')(text)) }}
{%- endmacro %}


{% macro duckdb__integer_from_text(text) -%}
    try_cast(round(try_cast({{ text }} as double)) as integer)
{%- endmacro %}


{% macro snowflake__integer_from_text(text) -%}
    iff(abs(try_to_double({{ text }})) < 2147483647, cast(round(try_to_double({{ text }})) as integer), null)
{%- endmacro %}


{# Text as an exact amount of money with four decimals; NULL when it is no number. #}
{% macro money_from_text(text) -%}
    try_cast({{ text }} as decimal(18, 4))
{%- endmacro %}


{# Text as true or false; NULL when it is neither. #}
{% macro boolean_from_text(text) -%}
    try_cast({{ text }} as boolean)
{%- endmacro %}


{#
    A key of 32 hexadecimal digits for a list of expressions. NULL is told apart from the empty string, so that
    (NULL, 'a') and ('a', NULL) differ.
#}
{% macro hashed_key(parts) -%}
    md5({{ joined(parts) }})
{%- endmacro %}


{#
    The same for a text that holds what a tracker sent: e-mail addresses in it are redacted first. Such a hash has no salt
    (it must stay the same when the salt changes), and an address could be found from it by trying.

    text    a column; an expression would be computed several times
    ids     columns that are hashed as they are: who it is must not be redacted, or two people become one
#}
{% macro hashed_content(text, ids=[]) -%}
    md5({{ joined(ids + [redact_emails(text)]) }})
{%- endmacro %}


{# A list of expressions as one text, NULL told apart from the empty string. One call: `||` would copy it at each step. #}
{% macro joined(parts) -%}
    {%- set texts = [] -%}
    {#- The same mark of two characters on both: Snowflake takes a backslash in a text for an escape. -#}
    {%- set mark = "'\\\\N'" if target.type == 'snowflake' else "'\\N'" -%}
    {%- for part in parts -%}
        {%- do texts.append("coalesce(cast(" ~ part ~ " as varchar), " ~ mark ~ ")") -%}
    {%- endfor -%}
    concat({{ texts | join(", '|', ") }})
{%- endmacro %}
