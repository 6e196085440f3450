{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key=['object_key', 'record_index']) }}

-- depends_on: {{ ref('stg_segment__events') }}
-- depends_on: {{ ref('stg_pinpoint__events') }}
-- depends_on: {{ ref('stg_matomo__events') }}

with

events as (

    select *
    from {{ ref('int_events__validated') }}
    where event_name in ('Recommendations Viewed', 'Recommendation Clicked', 'Recommendation Dismissed')
        and invalid_reason is null
        and {{ arrived_since('loaded_at') }}

),

listed as (

    {{ json_items(
        'events',
        column='items',
        fields={'given_book_id': 'book_id', 'position_text': 'position', 'propensity_text': 'propensity', 'draw_text': 'draw_id'},
        keep=['object_key', 'record_index', 'event_id', 'request_id', 'event_name', 'occurred_at', 'landed_at', 'loaded_at'],
        where="event_name = 'Recommendations Viewed'",
    ) }}

),

unioned as (

    select
        object_key,
        record_index,
        event_id,
        request_id,
        {{ redact_emails(tracked_id('given_book_id')) }} as book_id,
        event_name,
        item_number,
        coalesce({{ integer_from_text('position_text') }}, item_number) as position,
        try_cast(propensity_text as double) as propensity,
        {{ redact_emails('draw_text') }} as draw_id,
        cast(null as varchar) as answer_source,
        occurred_at,
        landed_at,
        loaded_at
    from listed
    where {{ tracked_id('given_book_id') }} is not null

    union all

    -- The answer itself, which may show nothing.
    select
        object_key,
        record_index,
        event_id,
        request_id,
        cast(null as varchar) as book_id,
        event_name,
        0 as item_number,
        cast(null as integer) as position,
        cast(null as double) as propensity,
        cast(null as varchar) as draw_id,
        answer_source,
        occurred_at,
        landed_at,
        loaded_at
    from events
    where event_name = 'Recommendations Viewed'

    union all

    select
        object_key,
        record_index,
        event_id,
        request_id,
        book_id,
        event_name,
        1 as item_number,
        position,
        cast(null as double) as propensity,
        cast(null as varchar) as draw_id,
        cast(null as varchar) as answer_source,
        occurred_at,
        landed_at,
        loaded_at
    from events
    where event_name in ('Recommendation Clicked', 'Recommendation Dismissed')

),

final as (

    select
        object_key,
        record_index,
        event_id,
        request_id,
        book_id,

        event_name,
        answer_source,

        cast(item_number as bigint) as item_number,
        cast(position as integer) as position,
        propensity,
        draw_id,

        cast(occurred_at as date) as occurred_on,
        landed_at,
        loaded_at
    from unioned

)

select * from final
