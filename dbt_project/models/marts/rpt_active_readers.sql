with

active_days as (

    select distinct
        user_id,
        occurred_on
    from {{ ref('int_visitor_days') }}
    where user_id is not null
        and events > 0

),

followed as (

    select
        user_id,
        occurred_on,
        lead(occurred_on) over (partition by user_id order by occurred_on) as next_on
    from active_days

),

-- A reader counts from an active day until the window has passed or the next active day begins: two changes a row, whatever
-- the length of the window.
changes as (

    {% for days in [1, 7, 30] -%}
    select
        {{ days }} as days,
        occurred_on as changed_on,
        1 as change
    from followed
    union all
    select
        {{ days }} as days,
        case
            when next_on < {{ dbt.dateadd('day', days, 'occurred_on') }} then next_on
            else cast({{ dbt.dateadd('day', days, 'occurred_on') }} as date)
        end as changed_on,
        -1 as change
    from followed
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

daily as (

    select
        changed_on,
        sum(case when days = 1 then change else 0 end) as change_of_1,
        sum(case when days = 7 then change else 0 end) as change_of_7,
        sum(case when days = 30 then change else 0 end) as change_of_30
    from changes
    group by changed_on

),

history as (

    select
        min(occurred_on) as first_day,
        (select max(arrived_on) from {{ ref('fct_events') }}) as last_day
    from active_days

),

-- A day on which nobody came or went has a row too.
every_day as (

    select
        changed_on as date_day,
        change_of_1,
        change_of_7,
        change_of_30
    from daily
    union all
    select
        dates.date_day,
        0 as change_of_1,
        0 as change_of_7,
        0 as change_of_30
    from {{ ref('dim_dates') }} as dates
    inner join history on dates.date_day between history.first_day and history.last_day

),

summed as (

    select
        date_day,
        sum(sum(change_of_1)) over (order by date_day rows between unbounded preceding and current row) as readers_of_1,
        sum(sum(change_of_7)) over (order by date_day rows between unbounded preceding and current row) as readers_of_7,
        sum(sum(change_of_30)) over (order by date_day rows between unbounded preceding and current row) as readers_of_30
    from every_day
    group by date_day

),

final as (

    select
        cast(summed.readers_of_1 as bigint) as daily_active_readers,
        cast(summed.readers_of_7 as bigint) as weekly_active_readers,
        cast(summed.readers_of_30 as bigint) as monthly_active_readers,
        round(cast(summed.readers_of_1 as double) / nullif(summed.readers_of_30, 0), 6) as stickiness,

        summed.date_day >= {{ dbt.dateadd('day', 29, 'history.first_day') }}
        and summed.date_day < history.last_day as is_complete,

        summed.date_day
    from summed
    inner join history on summed.date_day between history.first_day and history.last_day

)

select * from final
