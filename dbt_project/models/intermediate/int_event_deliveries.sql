{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key=['object_key', 'record_index', 'landed_at']) }}

{#- Written out each time: Snowflake has no named windows. -#}
{% set deliveries_of_event -%}
(
            partition by records.event_id
            order by records.landed_at, records.object_key, records.record_index
        )
{%- endset %}

with

arrived as (

    select
        event_id,
        source,
        object_key,
        record_index,
        content_hash,
        invalid_reason is null as is_valid,
        arrived_on,
        landed_at,
        loaded_at,
        true as has_arrived,
        cast(null as bigint) as old_delivery_number,
        cast(null as varchar) as old_first_object_key,
        cast(null as bigint) as old_first_record_index
    from {{ ref('int_events__validated') }}
    where {{ arrived_since('loaded_at') }}

),

records as (

    select * from arrived

    {%- if is_incremental() %}

    union all

    -- Earlier records of the same ids: one that was loaded late may have arrived first.
    select
        event_id,
        source,
        object_key,
        record_index,
        content_hash,
        is_valid,
        arrived_on,
        landed_at,
        loaded_at,
        false as has_arrived,
        delivery_number as old_delivery_number,
        first_object_key as old_first_object_key,
        first_record_index as old_first_record_index
    from {{ this }}
    where loaded_at <= {{ built_to() }}
        and event_id in (select event_id from arrived)
    {%- endif %}

),

-- Few ids repeat, so only theirs are put in order.
repeated_ids as (

    select event_id
    from records
    where is_valid
    group by event_id
    having count(*) > 1

),

repeated as (

    select
        records.object_key,
        records.record_index,
        row_number() over {{ deliveries_of_event }} as delivery_number,
        first_value(records.content_hash) over {{ deliveries_of_event }} as first_content_hash,
        first_value(records.object_key) over {{ deliveries_of_event }} as first_object_key,
        first_value(records.record_index) over {{ deliveries_of_event }} as first_record_index,
        min(records.loaded_at) over (partition by records.event_id) as first_loaded_at
    from records
    inner join repeated_ids on records.event_id = repeated_ids.event_id
    where records.is_valid

),

numbered as (

    select
        records.*,
        case when repeated.delivery_number > 1 then repeated.first_object_key end as first_object_key,
        case when repeated.delivery_number > 1 then repeated.first_record_index end as first_record_index,
        case when records.is_valid then coalesce(repeated.delivery_number, 1) end as delivery_number,
        coalesce(repeated.delivery_number = 1 and records.loaded_at > repeated.first_loaded_at, false) as is_superseding,
        coalesce(records.content_hash != repeated.first_content_hash, false) as is_conflicting
    from records
    left join repeated
        on records.object_key = repeated.object_key
        and records.record_index = repeated.record_index

),

final as (

    select
        event_id,
        source,
        object_key,
        record_index,
        content_hash,
        first_object_key,
        first_record_index,
        delivery_number,
        is_valid,
        is_superseding,
        is_conflicting,
        arrived_on,
        landed_at,
        loaded_at
    from numbered
    -- Most records that were there stay what they are: only the others are written again.
    where has_arrived
        or delivery_number is distinct from old_delivery_number
        or first_object_key is distinct from old_first_object_key
        or first_record_index is distinct from old_first_record_index

)

select * from final
