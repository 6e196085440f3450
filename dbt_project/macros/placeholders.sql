{#
    Placeholders that programs write for a missing value, and ids that stand for nobody. The same words, in lower case, as in
    `recsys_platform/common/placeholders.py`; a test compares them.
#}

{# Placeholders for a missing value in any column. #}
{% macro missing_words() -%}
    {{ return([
        'null', '(null)', '<null>', 'nul', 'nil', '<nil>', 'none', '(none)', '<none>', 'nan', '-nan', '#nan', 'nat',
        'na', 'n/a', '#n/a', '#na', '<na>', '\\n', 'undefined', 'undefined undefined', 'null null',
        '[object object]', '[object undefined]', '[object null]', '(unknown)', '(not set)', '-', '--', '{}', '[]',
        '""', "''",
    ]) }}
{%- endmacro %}


{# Placeholders for a missing value in any column except a title. #}
{% macro open_words() -%}
    {{ return([
        'unknown', 'not set', 'missing', 'empty',
    ]) }}
{%- endmacro %}


{# Ids that stand for nobody or nothing. #}
{% macro nobody_words() -%}
    {{ return([
        'anonymous', 'anonymoususer', 'anonymous user', 'anonymous_user', 'anon', 'guest', 'nobody',
        'not_authenticated', 'not authenticated', 'unauthenticated', 'not_logged_in', 'not-logged-in',
        'not logged in', 'notloggedin', 'logged_out', 'logged-out', 'logged out', 'loggedout', 'true', 'false', '-1',
        '0000000000000000', '00000000-0000-0000-0000-000000000000', '00000000000000000000000000000000',
        'ffffffff-ffff-ffff-ffff-ffffffffffff', 'ffffffffffffffffffffffffffffffff',
    ]) }}
{%- endmacro %}


{# Code points that are trimmed from both ends of a value. #}
{% macro blank_codes() -%}
    {{ return([
        0, 9, 10, 11, 12, 13, 32, 133, 160, 5760, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202,
        8203, 8232, 8233, 8239, 8287, 8288, 12288, 65279,
    ]) }}
{%- endmacro %}


{# A text; NULL if it is blank or a placeholder. `is_country`: `NA` is Namibia. `is_title`: Unknown is a novel. #}
{% macro value_or_null(text, is_country=false, is_title=false) -%}
    {%- set words = missing_words() | reject('equalto', 'na') | list if is_country else missing_words() -%}
    {{ without_words(text, words if is_title else words + open_words()) }}
{%- endmacro %}


{# An id, trimmed; NULL if it is blank, a placeholder, or a template that was not filled in. #}
{% macro id_or_null(text) -%}
    case
        when left({{ trimmed(text) }}, 2) not in ('${', concat('{', '{'), '<%')
            then {{ without_words(text, missing_words() + open_words() + nobody_words()) }}
    end
{%- endmacro %}


{# An id that a tracker sent: as above, and NULL for an object or an array. #}
{% macro tracked_id(text) -%}
    case when left({{ trimmed(text) }}, 1) not in ('{', '[') then {{ id_or_null(text) }} end
{%- endmacro %}


{# A text without blanks around it; NULL where nothing is left, or one of some words (lower case) in any case, also in quotes. #}
{% macro without_words(text, words) -%}
    {%- set literals = [] -%}
    {%- for word in words -%}
        {%- set literal = word | replace("'", "''") -%}
        {#- Snowflake takes a backslash in a text for an escape. -#}
        {%- set literal = literal | replace('\\', '\\\\') if target.type == 'snowflake' else literal -%}
        {%- do literals.append("'" ~ literal ~ "'") -%}
    {%- endfor -%}
    case when trim(lower({{ trimmed(text) }}), concat('"', chr(39))) not in ('', {{ literals | join(', ') }}) then {{ trimmed(text) }} end
{%- endmacro %}


{#
    A text without blanks around it, of whatever width. Looking at the first and the last character
    costs a quarter of trimming, and few texts have any around them.
#}
{% macro trimmed(text) -%}
    case
        when unicode({{ text }}) between 33 and 126 and unicode(right({{ text }}, 1)) between 33 and 126 then {{ text }}
        else trim({{ text }}, concat({% for code in blank_codes() %}chr({{ code }}){{ ', ' if not loop.last }}{% endfor %}))
    end
{%- endmacro %}
