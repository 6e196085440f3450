with

kpis as (

    {{ kpis() }}

),

-- As many months as readers were active in, and none left out.
history as (

    select
        (select min(date_day) from {{ ref('rpt_active_readers') }}) as first_day,
        max(arrived_on) as last_day
    from {{ ref('fct_events') }}

),

months as (

    select
        dates.month_start,
        max(dates.next_month_start) as next_month_start,
        -- A click may come a day after its exposure, so that a month is complete when the second day of the next has begun.
        coalesce(
            min(history.first_day) <= dates.month_start
            and max(history.last_day) > max(dates.next_month_start),
            false
        ) as is_complete
    from {{ ref('dim_dates') }} as dates
    inner join history
        on dates.date_day between history.first_day and history.last_day
    group by dates.month_start

),

readers as (

    select
        month_start,
        count(case when is_active then 1 end) as active,
        count(case when is_active and not is_subscriber_at_start then 1 end) as convertible,
        count(case when is_active and not is_subscriber_at_start and is_first_payment then 1 end) as converted,
        count(case when is_subscriber_at_start then 1 end) as subscribers,
        count(case when is_subscriber_at_start and is_subscriber_at_end then 1 end) as retained,
        sum(monthly_amount) as monthly_amount
    from {{ ref('fct_reader_months') }}
    group by month_start

),

payments as (

    select
        {{ month_of('paid_on') }} as month_start,
        sum(amount_base) as amount
    from {{ ref('fct_payments') }}
    where not is_bot
    group by {{ month_of('paid_on') }}

),

app_ratings as (

    select
        {{ month_of('occurred_on') }} as month_start,
        sum(cast(rating as decimal(18, 4))) as stars,
        count(rating) as ratings
    from {{ ref('fct_events') }}
    where event_name = 'App Rated'
        and not coalesce(is_bot, false)
    group by {{ month_of('occurred_on') }}

),

reading as (

    select
        {{ month_of('occurred_on') }} as month_start,
        sum(starts) as starts,
        sum(finishes) as finishes
    from {{ ref('rpt_daily_activity') }}
    group by {{ month_of('occurred_on') }}

),

shown as (

    select
        {{ month_of('shown_on') }} as month_start,
        surface,
        is_personalised,
        count(*) as exposures,
        count(case when is_clicked_in_time then 1 end) as clicks
    from {{ ref('fct_exposures') }}
    where not coalesce(is_bot, false)
    group by {{ month_of('shown_on') }}, surface, is_personalised

),

segmented as (

    select
        month_start,
        'all' as segmented_by,
        'all' as segment,
        exposures,
        clicks
    from shown
    union all
    select
        month_start,
        'surface' as segmented_by,
        surface as segment,
        exposures,
        clicks
    from shown
    union all
    select
        month_start,
        'personalisation' as segmented_by,
        case when is_personalised then 'personalised' else 'not personalised' end as segment,
        exposures,
        clicks
    from shown

),

shown_by_segment as (

    select
        month_start,
        segmented_by,
        segment,
        sum(clicks) as clicks,
        sum(exposures) as exposures
    from segmented
    group by month_start, segmented_by, segment

),

segments as (

    select distinct
        segmented_by,
        segment
    from (
        select
            segmented_by,
            segment
        from shown_by_segment
        union all
        select
            'all' as segmented_by,
            'all' as segment
    ) as found

),

inputs as (

    select
        month,
        {%- for input in ['total_cost', 'data_cost', 'it_budget', 'tools', 'standard_tools'] %}
        max(case when input = '{{ input }}' then amount end) as {{ input }},
        {%- endfor %}
        max(as_of) as as_of,
        max(told_by) as told_by
    from {{ ref('kpi_inputs') }}
    group by month

),

-- What no event shows is 0 of events. What nobody told is NULL.
monthly as (

    select
        months.month_start,
        coalesce(readers.active, 0) as active,
        coalesce(readers.convertible, 0) as convertible,
        coalesce(readers.converted, 0) as converted,
        coalesce(readers.subscribers, 0) as subscribers,
        coalesce(readers.retained, 0) as retained,
        coalesce(readers.monthly_amount, 0) as monthly_amount,
        coalesce(payments.amount, 0) as revenue,
        coalesce(app_ratings.stars, 0) as stars,
        coalesce(app_ratings.ratings, 0) as ratings,
        coalesce(reading.starts, 0) as starts,
        coalesce(reading.finishes, 0) as finishes,
        inputs.total_cost,
        inputs.data_cost,
        inputs.it_budget,
        inputs.tools,
        inputs.standard_tools,
        inputs.told_by
    from months
    left join readers on months.month_start = readers.month_start
    left join payments on months.month_start = payments.month_start
    left join app_ratings on months.month_start = app_ratings.month_start
    left join reading on months.month_start = reading.month_start
    left join inputs on months.month_start = inputs.month

),

compared as (

    select
        monthly.*,
        a_year_before.revenue as revenue_a_year_before
    from monthly
    left join monthly as a_year_before
        on {{ dbt.dateadd('year', -1, 'monthly.month_start') }} = a_year_before.month_start

),

figures as (

    {% for kpi, numerator, denominator in [
        ('customer_retention', 'retained', 'subscribers'),
        ('subscriber_churn', 'subscribers - retained', 'subscribers'),
        ('premium_conversion', 'converted', 'convertible'),
        ('active_readers', 'active', 'null'),
        ('monthly_recurring_revenue', 'monthly_amount', 'null'),
        ('revenue', 'revenue', 'null'),
        ('revenue_growth', 'revenue - revenue_a_year_before', 'revenue_a_year_before'),
        ('app_rating', 'stars', 'ratings'),
        ('completion_rate', 'finishes', 'starts'),
        ('cost_to_revenue', 'total_cost', 'revenue'),
        ('data_share_of_it_budget', 'data_cost', 'it_budget'),
        ('analytic_tools', 'tools', 'null'),
        ('standard_tools_share', 'standard_tools', 'tools'),
    ] -%}
    select
        month_start,
        '{{ kpi }}' as kpi,
        'all' as segmented_by,
        'all' as segment,
        cast({{ numerator }} as decimal(18, 4)) as numerator,
        cast({{ denominator }} as decimal(18, 4)) as denominator,
        told_by
    from compared
    union all
    {% endfor -%}
    select
        months.month_start,
        'click_through_rate' as kpi,
        segments.segmented_by,
        segments.segment,
        cast(coalesce(shown_by_segment.clicks, 0) as decimal(18, 4)) as numerator,
        cast(coalesce(shown_by_segment.exposures, 0) as decimal(18, 4)) as denominator,
        cast(null as varchar) as told_by
    from months
    cross join segments
    left join shown_by_segment
        on months.month_start = shown_by_segment.month_start
        and segments.segmented_by = shown_by_segment.segmented_by
        and segments.segment = shown_by_segment.segment

),

valued as (

    select
        figures.*,
        kpis.label,
        kpis.unit,
        kpis.definition,
        kpis.source,
        kpis.is_total,
        round(
            case
                when kpis.is_total then cast(figures.numerator as double)
                else cast(figures.numerator as double) / nullif(cast(figures.denominator as double), 0)
            end,
            6
        ) as value
    from figures
    inner join kpis on figures.kpi = kpis.kpi

),

targets as (

    select
        kpi,
        target_min,
        target_max,
        valid_from,
        lead(valid_from) over (partition by kpi order by valid_from) as valid_until
    from {{ ref('kpi_targets') }}

),

final as (

    select
        valued.kpi,
        valued.segmented_by,
        valued.segment,

        valued.label,
        valued.unit,
        case
            when valued.value is not null and targets.kpi is null then 'no target'
            when valued.value between coalesce(targets.target_min, valued.value) and coalesce(targets.target_max, valued.value)
                then 'on target'
            when valued.value is not null then 'off target'
            when valued.source = 'events' then 'no data'
            when valued.numerator is null or (not valued.is_total and valued.denominator is null) then 'not told'
            else 'no data'
        end as status,
        valued.definition,
        valued.source,
        case when valued.source != 'events' then valued.told_by end as told_by,

        valued.numerator,
        valued.denominator,
        valued.value,
        a_year_before.value as value_a_year_before,
        targets.target_min,
        targets.target_max,

        case
            when targets.kpi is not null
                then
                    valued.value between coalesce(targets.target_min, valued.value)
                    and coalesce(targets.target_max, valued.value)
        end as is_on_target,
        months.is_complete,

        valued.month_start
    from valued
    inner join months on valued.month_start = months.month_start
    left join valued as a_year_before
        on valued.kpi = a_year_before.kpi
        and valued.segmented_by = a_year_before.segmented_by
        and valued.segment = a_year_before.segment
        and {{ dbt.dateadd('year', -1, 'valued.month_start') }} = a_year_before.month_start
    left join targets
        on valued.kpi = targets.kpi
        and valued.month_start >= targets.valid_from
        and valued.month_start < coalesce(targets.valid_until, cast('9999-12-31' as date))

)

select * from final
