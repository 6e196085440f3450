{{ config(materialized='table') }}

with recursive

events as (

    select * from {{ ref('int_events__distinct') }}
    where previous_id is not null

),

-- The latest word on an id holds.
edges as (

    select
        previous_id,
        max_by(user_id, {{ moment_of('occurred_at', 'event_id') }}) as user_id
    from events
    where user_id is not null
        and user_id != previous_id
    group by previous_id

),

chains as (

    select
        previous_id,
        user_id,
        1 as steps
    from edges

    union all

    select
        chains.previous_id,
        edges.user_id,
        chains.steps + 1 as steps
    from chains
    inner join edges on chains.user_id = edges.previous_id
    -- A circle has no end.
    where chains.steps < 100

),

-- A chain ends with an id that has no alias itself; one that runs in a circle has no end and is left out.
final as (

    select
        chains.previous_id,
        chains.user_id
    from chains
    left join edges on chains.user_id = edges.previous_id
    where edges.previous_id is null

)

select * from final
