{#
    Words that programs write where there is no value, and those that stand for nobody. The same words, in lower case, as in
    `recsys_platform/events/placeholders.py`; a test compares them.
#}

{# No value, in any column. #}
{% macro missing_words() -%}
    {{ return([
        'null', '(null)', '<null>', 'nil', 'none', '(none)', 'nan', '-nan', '#nan', 'nat', 'na', 'n/a', '#n/a', '#na', '<na>',
        '\\n', 'undefined', '[object object]', '[object undefined]', '[object null]', 'unknown', '(unknown)', 'not set',
        '(not set)', 'missing', 'empty', '-', '--', '{}', '[]', '""', "''",
    ]) }}
{%- endmacro %}


{# Nobody and nothing, as an id. #}
{% macro nobody_words() -%}
    {{ return([
        'anonymous', 'anon', 'guest', 'nobody', 'not_authenticated', 'unauthenticated', 'not_logged_in', 'true', 'false', '-1',
        '00000000-0000-0000-0000-000000000000', '00000000000000000000000000000000',
    ]) }}
{%- endmacro %}


{# A text; NULL where it is blank or says that there is no value. `country`: `NA` is Namibia. #}
{% macro value_or_null(text, is_country=false) -%}
    {%- set words = missing_words() | reject('equalto', 'na') | list if is_country else missing_words() -%}
    {{ without_words(text, words) }}
{%- endmacro %}


{# An id without blanks around it; NULL where it names nobody and nothing. #}
{% macro id_or_null(text) -%}
    {{ without_words(text, missing_words() + nobody_words()) }}
{%- endmacro %}


{# An id that a tracker sent: as above, and NULL for an object or an array, which is no id. #}
{% macro tracked_id(text) -%}
    case when left({{ trimmed(text) }}, 1) not in ('{', '[') then {{ id_or_null(text) }} end
{%- endmacro %}


{# A text without blanks around it; NULL where nothing is left, or one of some words (lower case) in any case. #}
{% macro without_words(text, words) -%}
    {%- set literals = [] -%}
    {%- for word in words -%}
        {%- set literal = word | replace("'", "''") -%}
        {#- Snowflake takes a backslash in a text for an escape. -#}
        {%- set literal = literal | replace('\\', '\\\\') if target.type == 'snowflake' else literal -%}
        {%- do literals.append("'" ~ literal ~ "'") -%}
    {%- endfor -%}
    case when lower({{ trimmed(text) }}) not in ('', {{ literals | join(', ') }}) then {{ trimmed(text) }} end
{%- endmacro %}


{#
    A text without spaces, tabs, line ends, no-break and zero-width spaces around it. Looking at the first and the last character
    costs a quarter of trimming, and few texts have any around them.
#}
{% macro trimmed(text) -%}
    case
        when unicode({{ text }}) between 33 and 126 and unicode(right({{ text }}, 1)) between 33 and 126 then {{ text }}
        else trim({{ text }}, concat(' ', chr(9), chr(10), chr(11), chr(12), chr(13), chr(160), chr(8203), chr(65279)))
    end
{%- endmacro %}
