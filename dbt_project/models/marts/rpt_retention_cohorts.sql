with

active_days as (

    select distinct
        user_id,
        occurred_on
    from {{ ref('int_visitor_days') }}
    where user_id is not null
        and events > 0

),

-- The sign-up, since the first event that we have may come years after it.
readers as (

    select
        user_id,
        cast(coalesce(created_at, first_seen_at) as date) as joined_on
    from {{ ref('dim_users') }}
    where coalesce(created_at, first_seen_at) is not null

),

history as (

    select
        (select min(occurred_on) from active_days) as first_day,
        max(arrived_on) as last_day
    from {{ ref('fct_events') }}

),

joined as (

    select
        joined_on,
        count(*) as readers
    from readers
    group by joined_on

),

ages as (

    select
        readers.user_id,
        readers.joined_on,
        {{ dbt.datediff('readers.joined_on', 'active_days.occurred_on', 'day') }} as days_since
    from active_days
    inner join readers on active_days.user_id = readers.user_id

),

periods as (

    {% for day in [1, 7, 30] -%}
    select
        'day' as period,
        {{ day }} as period_number,
        {{ day }} as from_age,
        {{ day }} as to_age
    union all
    {% endfor -%}
    {% for week in range(1, 13) -%}
    select
        'week' as period,
        {{ week }} as period_number,
        {{ week * 7 }} as from_age,
        {{ week * 7 + 6 }} as to_age
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

returned as (

    select
        ages.joined_on,
        periods.period,
        periods.period_number,
        count(distinct ages.user_id) as readers
    from ages
    inner join periods on ages.days_since between periods.from_age and periods.to_age
    group by ages.joined_on, periods.period, periods.period_number

),

-- Only the periods of which every day is in history: of the others nobody knows who came.
observed as (

    select
        cast({{ dbt.date_trunc('week', 'joined.joined_on') }} as date) as cohort_week,
        periods.period,
        periods.period_number,
        periods.to_age,
        joined.joined_on,
        joined.readers,
        history.first_day,
        history.last_day,
        coalesce(returned.readers, 0) as returned
    from joined
    cross join periods
    cross join history
    left join returned
        on joined.joined_on = returned.joined_on
        and periods.period = returned.period
        and periods.period_number = returned.period_number
    where {{ dbt.dateadd('day', 'periods.from_age', 'joined.joined_on') }} >= history.first_day
        and {{ dbt.dateadd('day', 'periods.to_age', 'joined.joined_on') }} < history.last_day

),

final as (

    select
        period,

        cast(period_number as bigint) as period_number,
        cast(sum(readers) as bigint) as readers,
        cast(sum(returned) as bigint) as returned_readers,
        round(cast(sum(returned) as double) / sum(readers), 6) as retention,

        min(joined_on) < min(first_day) as is_left_censored,
        {{ dbt.dateadd('day', 'min(to_age) + 6', 'cohort_week') }} < min(last_day) as is_complete,

        cohort_week
    from observed
    group by cohort_week, period, period_number

)

select * from final
