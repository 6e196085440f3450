with

accepted as (

    select
        cast(landed_at as date) as arrived_on,
        source,
        count(*) as record_count
    from {{ source('raw', 'engagement_events') }}
    group by 1, 2

),

-- Counted from the tables people read, not from the step that split them: a row lost on the way shows.
outcomes as (

    select
        arrived_on,
        source,
        'distinct' as outcome
    from {{ ref('fct_events') }}

    union all

    select
        arrived_on,
        source,
        'duplicate' as outcome
    from {{ ref('int_event_duplicates') }}

    union all

    select
        arrived_on,
        source,
        'invalid' as outcome
    from {{ ref('rpt_invalid_events') }}

),

counted as (

    select
        arrived_on,
        source,
        count(case when outcome = 'distinct' then 1 end) as distinct_events,
        count(case when outcome = 'duplicate' then 1 end) as duplicates,
        count(case when outcome = 'invalid' then 1 end) as invalid
    from outcomes
    group by 1, 2

),

final as (

    select
        coalesce(accepted.arrived_on, counted.arrived_on) as arrived_on,
        coalesce(accepted.source, counted.source) as source,

        cast(coalesce(accepted.record_count, 0) as bigint) as accepted,
        cast(coalesce(counted.distinct_events, 0) as bigint) as distinct_events,
        cast(coalesce(counted.duplicates, 0) as bigint) as duplicates,
        cast(coalesce(counted.invalid, 0) as bigint) as invalid
    from accepted
    full outer join counted
        on accepted.arrived_on = counted.arrived_on
        and accepted.source = counted.source

)

select * from final
