with

events as (

    select * from {{ ref('int_events__validated') }}

),

duplicates as (

    select * from {{ ref('int_event_duplicates') }}

),

final as (

    select events.*
    from events
    left join duplicates
        on events.object_key = duplicates.object_key
        and events.record_index = duplicates.record_index
    where events.invalid_reason is null
        and duplicates.object_key is null

)

select * from final
