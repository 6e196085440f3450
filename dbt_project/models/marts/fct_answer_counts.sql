{%- set texts = {'experiment_text': 'experiment', 'variant_text': 'variant', 'source_text': 'source', 'seconds_text': 'seconds'} -%}
{%- set counts = {
    'answers_text': 'answers',
    'errors_text': 'errors',
    'within_10_text': 'within_10_ms',
    'within_20_text': 'within_20_ms',
    'within_50_text': 'within_50_ms',
    'within_100_text': 'within_100_ms',
    'within_200_text': 'within_200_ms',
    'within_500_text': 'within_500_ms',
} -%}
{%- do texts.update(counts) -%}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['event_id', 'item_number'],
    pre_hook="{{ drop_superseded() }}",
) }}

-- Built to the same load as the other tables of events.
-- depends_on: {{ ref('int_event_deliveries') }}

with

events as (

    select *
    from {{ ref('int_events__distinct') }}
    where event_name = 'Answers Counted'
        and {{ arrived_since('loaded_at') }}

),

listed as (

    {{ json_items(
        'events',
        column='items',
        fields=texts,
        keep=['event_id', 'anonymous_id', 'occurred_at', 'arrived_on', 'loaded_at'],
    ) }}

),

final as (

    select
        event_id,
        anonymous_id as gateway_id,

        {{ redact_emails('experiment_text') }} as experiment,
        {{ redact_emails('variant_text') }} as variant,
        {{ redact_emails('source_text') }} as source,

        cast(item_number as bigint) as item_number,
        cast({{ integer_from_text('seconds_text') }} as bigint) as period_seconds,
        {%- for alias, name in counts.items() %}
        cast(greatest(coalesce({{ integer_from_text(alias) }}, 0), 0) as bigint) as {{ name }},
        {%- endfor %}

        cast(occurred_at as date) as counted_on,
        occurred_at as counted_from,
        arrived_on,
        loaded_at
    from listed
    where experiment_text is not null
        and variant_text is not null
        and source_text is not null

)

select * from final
