with

events as (

    select * from {{ ref('int_events__distinct') }}

),

identities as (

    select * from {{ ref('int_identities') }}

),

final as (

    select
        events.event_id,
        coalesce(events.user_id, identities.user_id) as user_id,
        coalesce(events.user_id, identities.user_id, events.anonymous_id) as visitor_id,
        events.user_id is null and identities.user_id is not null as is_stitched,
        events.occurred_at
    from events
    left join identities on events.anonymous_id = identities.anonymous_id

)

select * from final
