{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['experiment', 'visitor_id'],
    pre_hook="{{ drop_readers_who_left_experiments() }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

{% if is_incremental() -%}
-- What happens after the days in which a reader counts changes nothing: an experiment of long ago costs no build anything.
changed as (

    select
        visitor_id,
        min(occurred_on) as changed_on
    from {{ ref('int_event_sessions') }}
    where changed_to > {{ built_to() }}
    group by visitor_id

),
{%- endif %}

readers as (

    select
        assignments.experiment,
        assignments.visitor_id,
        assignments.variant,
        assignments.first_shown_on,
        assignments.first_shown_at,
        {{ dbt.dateadd('day', -var('pre_period_days'), 'assignments.first_shown_on') }} as known_from,
        {{ dbt.dateadd('day', var('experiment_days'), 'assignments.first_shown_on') }} as counted_until
    from {{ ref('fct_experiment_assignments') }} as assignments
    {% if is_incremental() %}
    inner join changed
        on assignments.visitor_id = changed.visitor_id
        and changed.changed_on < {{ dbt.dateadd('day', var('experiment_days'), 'assignments.first_shown_on') }}
    {%- endif %}
    where not assignments.is_bot
        and not assignments.is_staff

),

-- Days before the first answer are the pre-period: they have no day of a metric.
requests as (

    select
        readers.experiment,
        readers.visitor_id,
        case when requests.shown_on >= readers.first_shown_on then requests.shown_on end as metric_on,
        sum(requests.books) as books,
        sum(requests.books_clicked_in_time) as clicked_in_time,
        sum(requests.clicks) as clicks,
        count(*) as answers,
        count(case when requests.is_empty then 1 end) as empty_answers,
        count(requests.answer_source) as known_answers,
        count(case when requests.answer_source != 'live' then 1 end) as fallbacks
    from readers
    inner join {{ ref('fct_recommendation_requests') }} as requests
        on readers.visitor_id = requests.visitor_id
        and readers.known_from <= requests.shown_on
        and readers.counted_until > requests.shown_on
    where not coalesce(requests.is_bot, false)
        and (requests.experiment = readers.experiment or requests.shown_on < readers.first_shown_on)
    group by
        readers.experiment,
        readers.visitor_id,
        case when requests.shown_on >= readers.first_shown_on then requests.shown_on end

),

known as (

    select
        experiment,
        visitor_id
    from requests
    where metric_on is null

),

events as (

    select
        readers.experiment,
        readers.visitor_id,
        events.event_name,
        case when events.occurred_on >= readers.first_shown_on then events.occurred_on end as metric_on,
        count(*) as events
    from readers
    inner join {{ ref('fct_events') }} as events
        on readers.visitor_id = events.visitor_id
        and readers.known_from <= events.occurred_on
        and readers.counted_until > events.occurred_on
    where events.event_name in ('Book Started', 'Book Finished', 'Book Saved')
        and not coalesce(events.is_bot, false)
        and (events.occurred_at >= readers.first_shown_at or events.occurred_on < readers.first_shown_on)
    group by
        readers.experiment,
        readers.visitor_id,
        events.event_name,
        case when events.occurred_on >= readers.first_shown_on then events.occurred_on end

),

payments as (

    select
        readers.experiment,
        readers.visitor_id,
        case when payments.paid_on >= readers.first_shown_on then payments.paid_on end as metric_on,
        count(case when payments.event_name = 'Subscription Started' then 1 end) as subscriptions,
        coalesce(sum(payments.amount_base), 0) as revenue
    from readers
    inner join {{ ref('fct_payments') }} as payments
        on readers.visitor_id = payments.visitor_id
        and readers.known_from <= payments.paid_on
        and readers.counted_until > payments.paid_on
    where not payments.is_bot
        and (payments.paid_at >= readers.first_shown_at or payments.paid_on < readers.first_shown_on)
    group by
        readers.experiment,
        readers.visitor_id,
        case when payments.paid_on >= readers.first_shown_on then payments.paid_on end

),

-- The denominator of a mean per reader is 1, from the first day on. Ratios get theirs from the answers.
metrics as (

    {% for metric, of_reader in experiment_metrics().items() -%}
    select
        '{{ metric }}' as metric,
        {{ of_reader }} as of_reader
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

counted as (

    {% for metric, numerator, denominator in [
        ('ctr', 'clicked_in_time', 'books'),
        ('clicks', 'clicks', '0'),
        ('empty_answers', 'empty_answers', 'answers'),
        ('fallback_share', 'fallbacks', 'known_answers'),
    ] -%}
    select
        experiment,
        visitor_id,
        '{{ metric }}' as metric,
        {{ numerator }} as numerator,
        {{ denominator }} as denominator,
        metric_on
    from requests
    where {{ numerator if denominator == '0' else denominator }} > 0

    union all

    {% endfor -%}
    select
        experiment,
        visitor_id,
        case event_name when 'Book Started' then 'starts' when 'Book Finished' then 'finishes' else 'saves' end as metric,
        events as numerator,
        0 as denominator,
        metric_on
    from events

    union all

    select
        experiment,
        visitor_id,
        'subscriptions' as metric,
        subscriptions as numerator,
        0 as denominator,
        metric_on
    from payments
    where subscriptions > 0

    union all

    select
        experiment,
        visitor_id,
        'revenue' as metric,
        revenue as numerator,
        0 as denominator,
        metric_on
    from payments

    union all

    -- Everybody has a row of every metric on the first day.
    select
        readers.experiment,
        readers.visitor_id,
        metrics.metric,
        0 as numerator,
        metrics.of_reader as denominator,
        readers.first_shown_on as metric_on
    from readers
    cross join metrics

    union all

    select
        known.experiment,
        known.visitor_id,
        metrics.metric,
        0 as numerator,
        metrics.of_reader as denominator,
        cast(null as date) as metric_on
    from known
    cross join metrics

),

days as (

    select
        experiment,
        visitor_id,
        metric,
        cast(sum(numerator) as decimal(18, 4)) as numerator,
        cast(sum(denominator) as decimal(18, 4)) as denominator,
        metric_on
    from counted
    group by experiment, visitor_id, metric, metric_on

),

grown as (

    select
        *,
        sum(numerator) over (
            partition by experiment, visitor_id, metric
            order by metric_on
            rows between unbounded preceding and current row
        ) - numerator as numerator_before,
        sum(denominator) over (
            partition by experiment, visitor_id, metric
            order by metric_on
            rows between unbounded preceding and current row
        ) - denominator as denominator_before
    from days
    where metric_on is not null

),

-- Who had no answer in the pre-period has none, whatever else is known of the time.
pre_periods as (

    select days.*
    from days
    inner join known
        on days.experiment = known.experiment
        and days.visitor_id = known.visitor_id
    where days.metric_on is null

),

final as (

    select
        grown.experiment,
        grown.visitor_id,

        readers.variant,
        grown.metric,

        grown.numerator,
        grown.denominator,
        cast(grown.numerator_before as decimal(18, 4)) as numerator_before,
        cast(grown.denominator_before as decimal(18, 4)) as denominator_before,
        cast(coalesce(pre_periods.numerator, 0) as decimal(18, 4)) as pre_numerator,
        cast(coalesce(pre_periods.denominator, 0) as decimal(18, 4)) as pre_denominator,

        pre_periods.visitor_id is not null as has_pre_period,
        grown.metric_on = readers.first_shown_on as is_first_day,

        grown.metric_on
    from grown
    inner join readers
        on grown.experiment = readers.experiment
        and grown.visitor_id = readers.visitor_id
    left join pre_periods
        on grown.experiment = pre_periods.experiment
        and grown.visitor_id = pre_periods.visitor_id
        and grown.metric = pre_periods.metric

)

select * from final
-- In order of time, so that a read-out reads the days of its experiment only.
order by metric_on
