{%- set segmentations = [
    ('all', "'all'"),
    ('tier', "tier"),
    ('language', "language"),
    ('platform', "platform"),
    ('personalisation', "case when is_personalised then 'personalised' else 'not personalised' end"),
] -%}
{%- set of_a_cohort = 'joined_on, tier, language, platform, is_personalised' -%}

with

active_days as (

    select distinct
        user_id,
        occurred_on
    from {{ ref('int_visitor_days') }}
    where user_id is not null
        and events > 0

),

history as (

    select
        (select min(occurred_on) from active_days) as first_day,
        max(arrived_on) as last_day
    from {{ ref('fct_events') }}

),

-- The sign-up, since the first event that we have may come years after it. Nobody came in the twelfth week of an older one.
joined as (

    select
        users.user_id,
        users.language,
        cast(coalesce(users.created_at, users.first_seen_at) as date) as joined_on
    from {{ ref('dim_users') }} as users
    cross join history
    where cast(coalesce(users.created_at, users.first_seen_at) as date)
        >= {{ dbt.dateadd('day', -90, 'history.first_day') }}

),

first_versions as (

    select
        user_id,
        min_by(tier, valid_from) as tier,
        min(valid_from) as known_from
    from {{ ref('dim_users_history') }}
    where valid_to is null or valid_to > valid_from
    group by user_id

),

first_platforms as (

    select
        user_id,
        min_by(platform, {{ moment_of('started_at', 'session_id') }}) as platform
    from {{ ref('fct_sessions') }}
    where user_id is not null
        and platform is not null
    group by user_id

),

personalised as (

    select distinct
        user_id,
        shown_on
    from {{ ref('fct_exposures') }}
    where user_id is not null
        and is_personalised
        and not coalesce(is_bot, false)

),

-- What is known of a reader at the sign-up, and nothing that became so because the reader stayed.
readers as (

    select
        joined.user_id,
        joined.joined_on,
        case
            when first_versions.known_from <= {{ dbt.dateadd('day', 7, 'joined.joined_on') }}
                then coalesce(first_versions.tier, 'unknown')
            else 'unknown'
        end as tier,
        coalesce(joined.language, 'unknown') as language,
        coalesce(first_platforms.platform, 'unknown') as platform,
        personalised.user_id is not null as is_personalised
    from joined
    left join first_versions on joined.user_id = first_versions.user_id
    left join first_platforms on joined.user_id = first_platforms.user_id
    left join personalised
        on joined.user_id = personalised.user_id
        and joined.joined_on = personalised.shown_on

),

cohorts as (

    select
        {{ of_a_cohort }},
        count(*) as readers
    from readers
    group by {{ of_a_cohort }}

),

ages as (

    select
        readers.*,
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
        {{ of_a_cohort }},
        periods.period,
        periods.period_number,
        count(distinct ages.user_id) as readers
    from ages
    inner join periods on ages.days_since between periods.from_age and periods.to_age
    where ages.days_since between 1 and 90
    group by {{ of_a_cohort }}, periods.period, periods.period_number

),

-- Only the periods of which every day is in history: of the others nobody knows who came.
observed as (

    select
        cohorts.*,
        periods.period,
        periods.period_number,
        periods.to_age,
        history.first_day,
        history.last_day
    from cohorts
    cross join periods
    cross join history
    where {{ dbt.dateadd('day', 'periods.from_age', 'cohorts.joined_on') }} >= history.first_day
        and {{ dbt.dateadd('day', 'periods.to_age', 'cohorts.joined_on') }} < history.last_day

),

weekly as (

    select
        {{ week_of('observed.joined_on') }} as cohort_week,
        observed.tier,
        observed.language,
        observed.platform,
        observed.is_personalised,
        observed.period,
        observed.period_number,
        observed.to_age,
        sum(observed.readers) as readers,
        sum(coalesce(returned.readers, 0)) as returned,
        min(observed.joined_on) as joined_from,
        min(observed.first_day) as first_day,
        min(observed.last_day) as last_day
    from observed
    left join returned
        on observed.joined_on = returned.joined_on
        and observed.tier = returned.tier
        and observed.language = returned.language
        and observed.platform = returned.platform
        and observed.is_personalised = returned.is_personalised
        and observed.period = returned.period
        and observed.period_number = returned.period_number
    group by
        {{ week_of('observed.joined_on') }},
        observed.tier,
        observed.language,
        observed.platform,
        observed.is_personalised,
        observed.period,
        observed.period_number,
        observed.to_age

),

segmented as (

    {% for segmented_by, segment in segmentations -%}
    select
        '{{ segmented_by }}' as segmented_by,
        {{ segment }} as segment,
        weekly.*
    from weekly
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

final as (

    select
        segmented_by,
        segment,
        period,

        cast(period_number as bigint) as period_number,
        cast(sum(readers) as bigint) as readers,
        cast(sum(returned) as bigint) as returned_readers,
        round(cast(sum(returned) as double) / sum(readers), 6) as retention,

        min(joined_from) < min(first_day) as is_left_censored,
        {{ dbt.dateadd('day', 'min(to_age) + 6', 'cohort_week') }} < min(last_day) as is_complete,

        cohort_week
    from segmented
    group by segmented_by, segment, cohort_week, period, period_number

)

select * from final
