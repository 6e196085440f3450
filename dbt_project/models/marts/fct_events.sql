{#- Only what the event says; who did it and in which session is assigned, and may change later. -#}
{%- set said = [
    'event_id', 'anonymous_id', 'book_id', 'request_id', 'object_key', 'record_index',
    'source', 'record_type', 'source_event', 'event_name', 'query', 'plan', 'currency', 'store',
    'surface', 'model', 'model_version', 'experiment', 'variant', 'label', 'platform', 'locale', 'app_version', 'ip_hash',
    'rating', 'chapter', 'chapters', 'position', 'item_count', 'price',
    'is_bot', 'occurred_at', 'arrived_on', 'landed_at', 'loaded_at',
] -%}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['event_id', 'occurred_on'],
    pre_hook="{{ drop_retired(['event_id', 'occurred_on']) }}",
) }}

-- depends_on: {{ ref('int_event_deliveries') }}

with

assignments as (

    select *
    from {{ ref('int_event_sessions') }}
    where is_current
        {%- if is_incremental() %}
        and changed_to > {{ built_to() }}
        {%- endif %}

),

events as (

    select {{ said | join(', ') }}
    from {{ ref('int_events__distinct') }}
    where {{ arrived_since('loaded_at') }}

    {%- if is_incremental() %}

    union all

    -- Events loaded before that belong to another reader or session now.
    select {{ said | join(', ') }}
    from {{ this }}
    where loaded_at <= {{ built_to() }}
        and (event_id, occurred_on) in (
            select
                event_id,
                occurred_on
            from assignments
        )
        and event_id not in (
            select event_id
            from {{ ref('int_event_deliveries') }}
            where delivery_number = 1
                and loaded_at > {{ built_to() }}
        )
    {%- endif %}

),

final as (

    select
        events.event_id,
        assignments.user_id,
        events.anonymous_id,
        assignments.visitor_id,
        assignments.session_id,
        events.book_id,
        events.request_id,
        events.object_key,
        events.record_index,

        events.source,
        events.record_type,
        events.source_event,
        events.event_name,
        events.query,
        events.plan,
        events.currency,
        events.store,
        events.surface,
        events.model,
        events.model_version,
        events.experiment,
        events.variant,
        events.label,
        events.platform,
        events.locale,
        events.app_version,
        events.ip_hash,

        assignments.event_number,
        events.rating,
        events.chapter,
        events.chapters,
        events.position,
        events.item_count,
        events.price,

        events.is_bot,
        assignments.is_stitched,

        cast(events.occurred_at as date) as occurred_on,
        events.occurred_at,
        events.arrived_on,
        events.landed_at,
        events.loaded_at
    from events
    inner join assignments on events.event_id = assignments.event_id

)

select * from final
-- In order of time, so that later builds read the last days only.
order by occurred_on
