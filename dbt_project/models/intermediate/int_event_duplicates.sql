with

deliveries as (

    select * from {{ ref('int_event_deliveries') }}

),

final as (

    select
        event_id,
        source,
        object_key,
        record_index,
        first_object_key,
        first_record_index,
        delivery_number,
        is_conflicting,
        arrived_on,
        landed_at,
        loaded_at
    from deliveries
    where delivery_number > 1

)

select * from final
