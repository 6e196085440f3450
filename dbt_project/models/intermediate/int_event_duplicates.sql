{{ config(materialized='table') }}

with

valid_records as (

    select event_id, source, object_key, record_index, arrived_on, landed_at
    from {{ ref('int_events__validated') }}
    where invalid_reason is null

),

-- Few ids repeat, so only theirs are put in order.
repeated_ids as (

    select event_id
    from valid_records
    group by event_id
    having count(*) > 1

),

deliveries as (

    select
        valid_records.*,
        row_number() over (
            partition by valid_records.event_id
            order by valid_records.landed_at, valid_records.object_key, valid_records.record_index
        ) as delivery_number
    from valid_records
    inner join repeated_ids on valid_records.event_id = repeated_ids.event_id

),

final as (

    select
        event_id,
        source,
        object_key,
        record_index,
        delivery_number,
        arrived_on,
        landed_at
    from deliveries
    where delivery_number > 1

)

select * from final
