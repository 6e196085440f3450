{#
    Pseudonyms and redaction: E-mail and IP addresses do not leave `raw`. Staging replaces them by salted hashes, and redacts
    e-mail addresses in free text.

    The salt is a secret. Queries read it from the one row of `raw.pii_salt`, so that no compiled SQL, log or manifest holds
    it. Without a salt the hashes are NULL: anybody could compute an unsalted hash.
#}

{# SHA-256 of salt and text, 64 hexadecimal digits; NULL without a salt or a text. Normalise the text first. #}
{% macro salted_hash(text) -%}
    {{ return(adapter.dispatch('salted_hash')(text)) }}
{%- endmacro %}


{% macro duckdb__salted_hash(text) -%}
    sha256((select max(salt) from {{ source('raw', 'pii_salt') }}) || ':' || {{ text }})
{%- endmacro %}


{% macro snowflake__salted_hash(text) -%}
    sha2((select max(salt) from {{ source('raw', 'pii_salt') }}) || ':' || {{ text }}, 256)
{%- endmacro %}


{# The salted hash of an e-mail address, in lower case and without surrounding blanks. #}
{% macro email_hash(text) -%}
    {{ salted_hash('lower(trim(' ~ text ~ '))') }}
{%- endmacro %}


{#
    An id without personal data: the salted hash of an id that is an e-mail address (NULL without a salt), any other id
    unchanged. The result is the same wherever the id occurs, so that it still joins.
#}
{% macro pseudonym(id) -%}
    case
        when ({{ may_hold_emails(id) }}) and {{ matches_any_case(id, email_pattern()) }}
            then {{ salted_hash("replace(replace(replace(" ~ id ~ ", '%2540', '@'), '%40', '@'), '＠', '@')") }}
        else {{ id }}
    end
{%- endmacro %}


{# Free text with e-mail addresses replaced by `[email]`, also URL-encoded ones and those in JSON. #}
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


{# Whether a text has a character that every address has. Checked first, since the pattern costs fifty times as much. #}
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
