{#
    E-mail and IP addresses never leave `raw`. What leaves instead is a hash that nobody can repeat without the salt, and
    free text in which no e-mail address is left.

    The salt is a secret: it comes from the one row of `raw.pii_salt`, never from the text of a query, so that no compiled
    SQL, log or manifest holds it. Without a salt there is no hash: a hash that anybody can make again hides nothing.
#}

{# SHA-256 of salt and text, 64 hexadecimal digits; NULL without a salt or a text. Bring the text into one form first. #}
{% macro salted_hash(text) -%}
    {{ return(adapter.dispatch('salted_hash')(text)) }}
{%- endmacro %}


{% macro duckdb__salted_hash(text) -%}
    sha256((select max(salt) from {{ source('raw', 'pii_salt') }}) || ':' || {{ text }})
{%- endmacro %}


{% macro snowflake__salted_hash(text) -%}
    sha2((select max(salt) from {{ source('raw', 'pii_salt') }}) || ':' || {{ text }}, 256)
{%- endmacro %}


{# The salted hash of an e-mail address; case and surrounding blanks do not count. #}
{% macro email_hash(text) -%}
    {{ salted_hash('lower(trim(' ~ text ~ '))') }}
{%- endmacro %}


{#
    Who it is, without saying so: an id that is an e-mail address is its salted hash, any other is itself. The same
    wherever the id occurs, so that it still joins; NULL without a salt.
#}
{% macro pseudonym(id) -%}
    case
        when ({{ may_hold_emails(id) }}) and {{ matches_any_case(id, email_pattern()) }}
            then {{ salted_hash("replace(replace(replace(" ~ id ~ ", '%2540', '@'), '%40', '@'), '＠', '@')") }}
        else {{ id }}
    end
{%- endmacro %}


{# Free text with `[email]` in place of whatever looks like an e-mail address, URL-encoded and in JSON too. #}
{% macro redact_emails(text) -%}
    {{ return(adapter.dispatch('redact_emails')(text)) }}
{%- endmacro %}


{% macro duckdb__redact_emails(text) -%}
    case
        when {{ may_hold_emails(text) }}
            then regexp_replace({{ text }}, '{{ email_pattern() }}', '[email]', 'g')
        else {{ text }}
    end
{%- endmacro %}


{% macro snowflake__redact_emails(text) -%}
    case
        when {{ may_hold_emails(text) }}
            then regexp_replace({{ text }}, '{{ email_pattern() }}', '[email]')
        else {{ text }}
    end
{%- endmacro %}


{# Whether a text has one of the signs without which there is no address: the pattern costs fifty times as much. #}
{% macro may_hold_emails(text) -%}
    contains({{ text }}, '@') or contains({{ text }}, '%') or contains({{ text }}, '＠') or contains({{ text }}, '﹫')
            or contains({{ text }}, concat(chr(92), 'u'))
{%- endmacro %}


{#
    What looks like an e-mail address, for RE2 and for POSIX alike: no backslashes, no look-around. Wider than the rules
    of mail: better a word too many redacted than an address kept. A version such as `model@1.2` is none.

    The text may be JSON, with signs as `\u0040`, and is JSON still when the address is replaced: a quoted name ends where the
    next string could begin, and a backslash after an address stays with the quote that it is for. `Z-^` is the range around
    the backslash.
#}
{% macro email_pattern() -%}
    {%- set delimiters = '[:space:]@<>(){}",;:|=&?/' -%}
    {%- set quoted = '"([^":,{}Z-^]|Z)*"|[^' ~ delimiters ~ ']*[Z-^]"[^":,{}]*"' -%}
    {%- set at = '(@|＠|﹫|(%|u0025)(25)*40|u0040|u[fF][fF]20)' -%}
    {%- set sign = '([^' ~ delimiters ~ 'Z-^]|Z|[Z-^]+u[0-9a-fA-F]{4})' -%}
    {%- set letter = '([^' ~ delimiters ~ 'Z-^.0-9]|Z|[Z-^]+u00[4-7][0-9a-fA-F])' -%}
    ({{ quoted }}|[^{{ delimiters }}]*[=&?/|<>()]*){{ at }}{{ sign }}+([.]|[Z-^]+u002[eE]){{ sign }}*{{ letter }}{{ sign }}*
{%- endmacro %}
