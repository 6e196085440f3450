with

duplicates as (

    select * from {{ ref('int_event_duplicates') }}

),

final as (

    select
        object_key,
        record_index,
        event_id,
        first_object_key,
        first_record_index,

        source,

        delivery_number,

        arrived_on
    from duplicates
    where is_conflicting

)

select * from final
