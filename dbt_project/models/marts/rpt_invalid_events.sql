{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key=['object_key', 'record_index']) }}

-- Built to the same load as the tables that count the valid ones.
-- depends_on: {{ ref('int_event_deliveries') }}

with

events as (

    select * from {{ ref('int_events__validated') }}

),

final as (

    select
        object_key,
        record_index,
        event_id,
        user_id,
        anonymous_id,
        book_id,

        source,
        source_event,
        event_name,
        invalid_reason,

        rating,
        chapter,
        chapters,

        occurred_at,
        arrived_on,
        landed_at,
        loaded_at
    from events
    where invalid_reason is not null
        and {{ arrived_since('loaded_at') }}

)

select * from final
