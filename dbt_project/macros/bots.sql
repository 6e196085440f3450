{#
    Whether a user agent or device model is that of a bot; false for NULL.

    Matched without regard to case: the crawlers in the list crawler-user-agents (crawlers.sql), and patterns of our own that also match
    new bots: crawlers (`bot`, but not Cubot phones), link previews, headless browsers and test drivers, monitors and speed
    tests, and HTTP libraries that the apps do not use. `okhttp`, `cfnetwork` and `dalvik` are not matched: the apps send them.
#}
{% macro looks_like_a_bot(text) -%}
    coalesce({{ matches_any_case(text, bot_pattern()) }}, false)
{%- endmacro %}


{% macro bot_pattern() -%}
    {%- set patterns = [
        '(^|[^u])bot', 'crawl', 'spider', 'slurp', 'archiver', 'feedfetcher', 'mediapartners',
        'facebookexternalhit', 'preview', 'embedly',
        'headless', 'phantomjs', 'selenium', 'puppeteer', 'playwright',
        'monitor', 'uptime', 'pingdom', 'statuscake', 'site24x7', 'datadog', 'synthetic',
        'lighthouse', 'pagespeed', 'gtmetrix', 'ptst',
        'curl/', 'wget', 'python-', 'aiohttp', 'httpx', 'scrapy', 'libwww', 'go-http-client', 'java/', 'axios/',
        'node-fetch', 'postman', 'guzzle',
    ] -%}
    {{ return((patterns + known_crawlers()) | join('|')) }}
{%- endmacro %}


{# Whether a pattern occurs anywhere in a text, upper or lower case; NULL for NULL. #}
{% macro matches_any_case(text, pattern) -%}
    {{ return(adapter.dispatch('matches_any_case')(text, pattern)) }}
{%- endmacro %}


{% macro duckdb__matches_any_case(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}', 'i')
{%- endmacro %}


{% macro snowflake__matches_any_case(text, pattern) -%}
    {#- `regexp_like` wants the whole text to match. -#}
    regexp_instr({{ text }}, '{{ pattern }}', 1, 1, 0, 'i') > 0
{%- endmacro %}
