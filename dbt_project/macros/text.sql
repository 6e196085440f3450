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


{#
    The primary subtag of the language that a code, a locale or a name of a language means: `en` for `eng`, `EN`, `en-US` and
    `English`; NULL for what means none. As `recsys_platform/common/languages.py` has it, from the tables of `languages.sql`.
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


{# A locale with its language as a primary subtag and the rest as it is: `en-US` for `eng_US`. #}
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


{# What a mapping of words has for a text; NULL if it has nothing. #}
{% macro looked_up(text, words) -%}
    {{ return(adapter.dispatch('looked_up')(text, words)) }}
{%- endmacro %}


{# A constant map: hundreds of `when` cost memory. #}
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


{# Texts as they stand between quotes. #}
{% macro quoted_words(words) -%}
    {%- set quoted = [] -%}
    {%- for word in words -%}
        {%- do quoted.append(word | replace("'", "''")) -%}
    {%- endfor -%}
    {{ return(quoted) }}
{%- endmacro %}


{# A text that is there and could not be read, without e-mail addresses; NULL if it is empty or was read. #}
{% macro unread(text, value) -%}
    case when {{ text }} is not null and {{ value }} is null then {{ redact_emails(text) }} end
{%- endmacro %}
