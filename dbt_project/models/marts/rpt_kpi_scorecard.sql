{#- Each KPI: its numerator, its denominator (none for a total), and the figures of `kpi_inputs` that it needs. -#}
{%- set of_readers = [
    ('customer_retention', 'retained', 'subscribers'),
    ('subscriber_churn', 'subscribers - retained', 'subscribers'),
    ('premium_conversion', 'converted', 'convertible'),
    ('active_readers', 'active', 'null'),
    ('monthly_recurring_revenue', 'monthly_amount', 'null'),
    ('revenue', 'revenue', 'null'),
    ('revenue_growth', 'revenue - revenue_a_year_before', 'revenue_a_year_before'),
    ('app_rating', 'stars', 'ratings'),
    ('completion_rate', 'finishes', 'starts'),
] -%}
{%- set of_inputs = [
    ('cost_to_revenue', 'total_cost', 'revenue', ['total_cost']),
    ('data_share_of_it_budget', 'data_cost', 'it_budget', ['data_cost', 'it_budget']),
    ('analytic_tools', 'tools', 'null', ['tools']),
    ('standard_tools_share', 'standard_tools', 'tools', ['standard_tools', 'tools']),
] -%}
{#- Known only when the last day is over on which a payment can still continue a subscription. -#}
{%- set of_lapses = "'customer_retention', 'subscriber_churn', 'monthly_recurring_revenue'" -%}
{%- set counts = [
    'active', 'convertible', 'converted', 'subscribers', 'retained', 'monthly_amount', 'revenue', 'stars', 'ratings', 'starts',
    'finishes',
] -%}

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
        ) as is_complete,
        -- A lapse is dated back to the end of what was paid for.
        coalesce(
            max(history.last_day) > {{ end_of_grace('max(dates.next_month_start)') }},
            false
        ) as are_lapses_known
    from {{ ref('dim_dates') }} as dates
    inner join history
        on dates.date_day between history.first_day and history.last_day
    group by dates.month_start

),

readers as (

    select
        month_start,
        is_personalised,
        count(case when is_active then 1 end) as active,
        count(case when is_active and not is_subscriber_at_start then 1 end) as convertible,
        count(case when is_active and not is_subscriber_at_start and is_first_payment then 1 end) as converted,
        count(case when is_subscriber_at_start then 1 end) as subscribers,
        count(case when is_subscriber_at_start and is_subscriber_at_end then 1 end) as retained,
        sum(monthly_amount) as monthly_amount
    from {{ ref('fct_reader_months') }}
    group by month_start, is_personalised

),

-- Whoever is not among these counts as not personalised: visitors who never signed in too.
personalised as (

    select
        user_id,
        month_start
    from {{ ref('fct_reader_months') }}
    where is_personalised

),

payments as (

    select
        {{ month_of('payments.paid_on') }} as month_start,
        personalised.user_id is not null as is_personalised,
        sum(payments.amount_base) as amount
    from {{ ref('fct_payments') }} as payments
    left join personalised
        on payments.user_id = personalised.user_id
        and {{ month_of('payments.paid_on') }} = personalised.month_start
    where not payments.is_bot
    group by {{ month_of('payments.paid_on') }}, personalised.user_id is not null

),

app_ratings as (

    select
        {{ month_of('events.occurred_on') }} as month_start,
        personalised.user_id is not null as is_personalised,
        sum(cast(events.rating as decimal(18, 4))) as stars,
        count(events.rating) as ratings
    from {{ ref('fct_events') }} as events
    left join personalised
        on events.user_id = personalised.user_id
        and {{ month_of('events.occurred_on') }} = personalised.month_start
    where events.event_name = 'App Rated'
        and not coalesce(events.is_bot, false)
    group by {{ month_of('events.occurred_on') }}, personalised.user_id is not null

),

reading as (

    select
        {{ month_of('visitor_days.occurred_on') }} as month_start,
        personalised.user_id is not null as is_personalised,
        sum(visitor_days.starts) as starts,
        sum(visitor_days.finishes) as finishes
    from {{ ref('int_visitor_days') }} as visitor_days
    left join personalised
        on visitor_days.user_id = personalised.user_id
        and {{ month_of('visitor_days.occurred_on') }} = personalised.month_start
    group by {{ month_of('visitor_days.occurred_on') }}, personalised.user_id is not null

),

halves as (

    select true as is_personalised
    union all
    select false as is_personalised

),

-- What no event shows is 0 of events.
counted as (

    select
        months.month_start,
        halves.is_personalised,
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
        coalesce(reading.finishes, 0) as finishes
    from months
    cross join halves
    {%- for each in ['readers', 'payments', 'app_ratings', 'reading'] %}
    left join {{ each }}
        on months.month_start = {{ each }}.month_start
        and halves.is_personalised = {{ each }}.is_personalised
    {%- endfor %}

),

by_segment as (

    {% for segmented_by, segment in [
        ('all', "'all'"),
        ('personalisation', "case when is_personalised then 'personalised' else 'not personalised' end"),
    ] -%}
    select
        month_start,
        {%- for count in counts %}
        sum({{ count }}) as {{ count }},
        {%- endfor %}
        '{{ segmented_by }}' as segmented_by,
        {{ segment }} as segment
    from counted
    group by month_start, {{ segment }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- A month that lies in history in part is no base to grow from.
compared as (

    select
        by_segment.*,
        a_year_before.revenue as revenue_a_year_before
    from by_segment
    left join months as base
        on {{ dbt.dateadd('year', -1, 'by_segment.month_start') }} = base.month_start
        and base.is_complete
    left join by_segment as a_year_before
        on base.month_start = a_year_before.month_start
        and by_segment.segmented_by = a_year_before.segmented_by
        and by_segment.segment = a_year_before.segment

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

shown_by_segment as (

    {% for segmented_by, segment in [
        ('all', "'all'"),
        ('surface', 'surface'),
        ('personalisation', "case when is_personalised then 'personalised' else 'not personalised' end"),
    ] -%}
    select
        month_start,
        '{{ segmented_by }}' as segmented_by,
        {{ segment }} as segment,
        sum(clicks) as clicks,
        sum(exposures) as exposures
    from shown
    group by month_start, {{ segment }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- Both halves have a row, also where nothing was shown.
segments as (

    select distinct
        segmented_by,
        segment
    from (
        select
            segmented_by,
            segment
        from by_segment
        union all
        select
            segmented_by,
            segment
        from shown_by_segment
    ) as found

),

inputs as (

    select
        {%- for input in ['total_cost', 'data_cost', 'it_budget', 'tools', 'standard_tools'] %}
        max(case when input = '{{ input }}' then amount end) as {{ input }},
        {%- endfor %}
        month
    from {{ ref('kpi_inputs') }}
    group by month

),

needed as (

    {% for kpi, _, _, names in of_inputs -%}
    {% set is_last_kpi = loop.last -%}
    {% for name in names -%}
    select
        '{{ kpi }}' as kpi,
        '{{ name }}' as input
    {% if not (loop.last and is_last_kpi) %}union all{% endif %}
    {% endfor -%}
    {% endfor %}
),

-- By whom the inputs of a KPI were reported, and how long ago at least.
reported as (

    select
        inputs.month,
        needed.kpi,
        case
            when min(inputs.reported_by) = max(inputs.reported_by) then min(inputs.reported_by)
            else min(inputs.reported_by) || ', ' || max(inputs.reported_by)
        end as reported_by,
        min(inputs.as_of) as as_of
    from {{ ref('kpi_inputs') }} as inputs
    inner join needed on inputs.input = needed.input
    group by inputs.month, needed.kpi

),

-- What nobody reported is NULL, and never 0.
reported_figures as (

    select
        compared.month_start,
        compared.revenue,
        inputs.total_cost,
        inputs.data_cost,
        inputs.it_budget,
        inputs.tools,
        inputs.standard_tools
    from compared
    left join inputs on compared.month_start = inputs.month
    where compared.segmented_by = 'all'

),

figures as (

    {% for kpi, numerator, denominator in of_readers -%}
    select
        month_start,
        '{{ kpi }}' as kpi,
        segmented_by,
        segment,
        cast({{ numerator }} as decimal(18, 4)) as numerator,
        cast({{ denominator }} as decimal(18, 4)) as denominator
    from compared
    union all
    {% endfor -%}
    {% for kpi, numerator, denominator, _ in of_inputs -%}
    select
        month_start,
        '{{ kpi }}' as kpi,
        'all' as segmented_by,
        'all' as segment,
        cast({{ numerator }} as decimal(18, 4)) as numerator,
        cast({{ denominator }} as decimal(18, 4)) as denominator
    from reported_figures
    union all
    {% endfor -%}
    select
        months.month_start,
        'click_through_rate' as kpi,
        segments.segmented_by,
        segments.segment,
        cast(coalesce(shown_by_segment.clicks, 0) as decimal(18, 4)) as numerator,
        cast(coalesce(shown_by_segment.exposures, 0) as decimal(18, 4)) as denominator
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
        reported.reported_by,
        reported.as_of,
        (months.is_complete or kpis.source = 'kpi_inputs')
        and (months.are_lapses_known or figures.kpi not in ({{ of_lapses }}))
        -- A figure that was reported before the month was over is an estimate.
        and (kpis.source = 'events' or coalesce(reported.as_of >= months.next_month_start, false)) as is_complete,
        round(
            case
                when kpis.is_total then cast(figures.numerator as double)
                else cast(figures.numerator as double) / nullif(cast(figures.denominator as double), 0)
            end,
            6
        ) as value
    from figures
    inner join kpis on figures.kpi = kpis.kpi
    inner join months on figures.month_start = months.month_start
    left join reported
        on figures.kpi = reported.kpi
        and figures.month_start = reported.month

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
            when valued.numerator is null or (not valued.is_total and valued.denominator is null) then 'not reported'
            else 'no data'
        end as status,
        valued.definition,
        valued.source,
        valued.reported_by,

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
        valued.is_complete,

        valued.month_start,
        valued.as_of
    from valued
    left join valued as a_year_before
        on valued.kpi = a_year_before.kpi
        and valued.segmented_by = a_year_before.segmented_by
        and valued.segment = a_year_before.segment
        and {{ dbt.dateadd('year', -1, 'valued.month_start') }} = a_year_before.month_start
        and a_year_before.is_complete
    left join targets
        on valued.kpi = targets.kpi
        and valued.month_start >= targets.valid_from
        and valued.month_start < coalesce(targets.valid_until, cast('9999-12-31' as date))

)

select * from final
