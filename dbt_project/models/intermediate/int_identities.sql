{{ config(materialized='table') }}

with

events as (

    select * from {{ ref('int_events__distinct') }}

),

-- An anonymous id on which two people signed in is a shared device: nobody gets its anonymous history.
final as (

    select
        anonymous_id,
        min(user_id) as user_id,
        min(occurred_at) as first_signed_in_at
    from events
    where anonymous_id is not null
        and user_id is not null
    group by anonymous_id
    having min(user_id) = max(user_id)

)

select * from final
