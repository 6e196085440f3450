{{ config(materialized='table') }}

with

events as (

    select * from {{ ref('int_events__stitched') }}

),

ordered as (

    select
        *,
        row_number() over (partition by visitor_id order by occurred_at, event_id) as event_number,
        lag(occurred_at) over (partition by visitor_id order by occurred_at, event_id) as previous_at
    from events

),

-- The start of the newest session so far is the start of the one an event belongs to.
started as (

    select
        *,
        max(
            case
                when previous_at is null then occurred_at
                when occurred_at >= {{ dbt.dateadd('minute', var('session_silence_minutes'), 'previous_at') }}
                    then occurred_at
            end
        ) over (
            partition by visitor_id
            order by event_number
            rows between unbounded preceding and current row
        ) as session_started_at
    from ordered

),

final as (

    select
        event_id,
        user_id,
        visitor_id,
        {{ hashed_key(['visitor_id', 'session_started_at']) }} as session_id,
        event_number,
        is_stitched,
        session_started_at
    from started

)

select * from final
