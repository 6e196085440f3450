{#
    Whether a user agent or device model is that of a program and not of a reader; NULL is no bot.

    The list, case does not count: names of crawlers (`bot`, but not the phones of Cubot; `crawl`, `spider`, `slurp`,
    `archiver`, `feedfetcher`, `mediapartners`), makers of link previews (`facebookexternalhit`, `preview`, `embedly`),
    browsers without a screen and test drivers (`headless`, `phantomjs`, `selenium`, `puppeteer`, `playwright`),
    monitors and speed tests (`monitor`, `uptime`, `pingdom`, `statuscake`, `site24x7`, `datadog`, `synthetic`,
    `lighthouse`, `pagespeed`, `gtmetrix`, `ptst`), and HTTP libraries that no app of ours uses (`curl/`, `wget`,
    `python-`, `aiohttp`, `httpx`, `scrapy`, `libwww`, `go-http-client`, `java/`, `axios/`, `node-fetch`, `postman`,
    `guzzle`). `okhttp`, `cfnetwork` and `dalvik` are not in it: the apps of readers send them.
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
    {{ return(patterns | join('|')) }}
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
