{# Text as a whole number (`4.0` is 4); NULL if it is not a number or too large for an integer. #}
{% macro integer_from_text(text) -%}
    {{ return(adapter.dispatch('integer_from_text')(text)) }}
{%- endmacro %}


{% macro duckdb__integer_from_text(text) -%}
    try_cast(round(try_cast({{ text }} as double)) as integer)
{%- endmacro %}


{% macro snowflake__integer_from_text(text) -%}
    iff(abs(try_to_double({{ text }})) < 2147483647, cast(round(try_to_double({{ text }})) as integer), null)
{%- endmacro %}


{# Text as an exact amount of money with four decimals; NULL if it is not a number. #}
{% macro money_from_text(text) -%}
    try_cast({{ text }} as decimal(18, 4))
{%- endmacro %}


{# Text as a boolean; NULL if it is neither true nor false. #}
{% macro boolean_from_text(text) -%}
    try_cast({{ text }} as boolean)
{%- endmacro %}


{#
    A key of 32 hexadecimal digits for a list of expressions. NULL differs from the empty string, so that
    (NULL, 'a') and ('a', NULL) differ.
#}
{% macro hashed_key(parts) -%}
    md5({{ joined(parts) }})
{%- endmacro %}


{#
    The same for text from a tracker, with e-mail addresses redacted first: in a hash without a salt an address could be found by
    trying.

    text    a column; an expression would be computed several times
    ids     columns that are not redacted, which would give two people the same id; an address among them is hashed with the
            salt, as the ids of readers are
#}
{% macro hashed_content(text, ids=[]) -%}
    {%- set hashed_ids = [] -%}
    {%- for id in ids -%}
        {%- do hashed_ids.append("coalesce(" ~ pseudonym(id) ~ ", " ~ redact_emails(id) ~ ")") -%}
    {%- endfor -%}
    md5({{ joined(hashed_ids + [redact_emails(text)]) }})
{%- endmacro %}


{# A list of expressions as one text; NULL differs from the empty string. One call, since each `||` would copy the text. #}
{% macro joined(parts) -%}
    {%- set texts = [] -%}
    {#- The same two characters on both engines: in Snowflake a backslash in a string is an escape. -#}
    {%- set mark = "'\\\\N'" if target.type == 'snowflake' else "'\\N'" -%}
    {%- for part in parts -%}
        {%- do texts.append("coalesce(cast(" ~ part ~ " as varchar), " ~ mark ~ ")") -%}
    {%- endfor -%}
    concat({{ texts | join(", '|', ") }})
{%- endmacro %}


{#
    The primary language subtag of a code, a locale or a name of a language: `en` for `eng`, `EN`, `en-US` and `English`; NULL
    for anything else. As `recsys_platform/common/languages.py` has it, from the tables of `languages.sql`.
#}
{% macro primary_subtag(text) -%}
    {%- set word = 'lower(' ~ trimmed(text) ~ ')' -%}
    {%- set code = "split_part(translate(" ~ word ~ ", '_.@', '---'), '-', 1)" -%}
    coalesce(
        {{ looked_up(word, language_names()) }},
        case when {{ code }} not in ('und', 'mul', 'mis', 'zxx') then {{ looked_up(code, language_codes()) }} end,
        case
            when {{ code }} not in ('und', 'mul', 'mis', 'zxx')
                and length({{ code }}) between 2 and 3
                and translate({{ code }}, 'abcdefghijklmnopqrstuvwxyz', '') = ''
                then {{ code }}
        end
    )
{%- endmacro %}


{# A locale with its language as a primary subtag and the rest unchanged: `en-US` for `eng_US`. #}
{% macro standard_locale(text) -%}
    {%- set code = "lower(split_part(translate(" ~ text ~ ", '_', '-'), '-', 1))" -%}
    {%- set odd = [] -%}
    {%- for each in language_codes() if each | length == 2 -%}{%- do odd.append("'" ~ each ~ "'") -%}{%- endfor -%}
    case
        when length({{ code }}) = 3 or {{ code }} in ({{ odd | join(', ') }})
            then concat(
                coalesce({{ looked_up(code, language_codes()) }}, {{ code }}),
                substr(translate({{ text }}, '_', '-'), length({{ code }}) + 1)
            )
        else translate({{ text }}, '_', '-')
    end
{%- endmacro %}


{# The value of a text in a mapping of words; NULL if it is not there. #}
{% macro looked_up(text, words) -%}
    {{ return(adapter.dispatch('looked_up')(text, words)) }}
{%- endmacro %}


{# A constant map, since hundreds of `when` need much memory. #}
{% macro duckdb__looked_up(text, words) -%}
    map(
        ['{{ quoted_words(words.keys()) | join("', '") }}'],
        ['{{ quoted_words(words.values()) | join("', '") }}']
    )[{{ text }}]
{%- endmacro %}


{% macro snowflake__looked_up(text, words) -%}
    {%- set entries = [] -%}
    {%- for word, value in words.items() -%}
        {%- do entries.append(word ~ '=' ~ value) -%}
    {%- endfor -%}
    nullif(split_part(split_part('|{{ quoted_words(entries) | join('|') }}|', concat('|', {{ text }}, '='), 2), '|', 1), '')
{%- endmacro %}


{# Texts with their quotes escaped, to stand between quotes. #}
{% macro quoted_words(words) -%}
    {%- set quoted = [] -%}
    {%- for word in words -%}
        {%- do quoted.append(word | replace("'", "''")) -%}
    {%- endfor -%}
    {{ return(quoted) }}
{%- endmacro %}


{# A text that could not be parsed, with e-mail addresses redacted; NULL if it was parsed or is empty. #}
{% macro unread(text, value) -%}
    case when {{ text }} is not null and {{ value }} is null then {{ redact_emails(text) }} end
{%- endmacro %}
