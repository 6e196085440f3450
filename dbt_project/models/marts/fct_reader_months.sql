with

visitor_days as (

    select * from {{ ref('int_visitor_days') }}
    where user_id is not null
        and events > 0

),

subscriptions as (

    select * from {{ ref('fct_subscriptions') }}
    where user_id is not null
        and not is_bot

),

payments as (

    select * from {{ ref('fct_payments') }}
    where user_id is not null
        and not is_bot

),

history as (

    select
        (select min(occurred_on) from visitor_days) as first_day,
        max(arrived_on) as last_day
    from {{ ref('fct_events') }}

),

months as (

    select distinct
        dates.month_start,
        dates.next_month_start
    from {{ ref('dim_dates') }} as dates
    inner join history on dates.date_day between history.first_day and history.last_day

),

activity as (

    select
        user_id,
        {{ month_of('occurred_on') }} as month_start,
        count(distinct occurred_on) as active_days
    from visitor_days
    group by user_id, {{ month_of('occurred_on') }}

),

-- A subscription that touches a month, with what its last payment of that time comes to a month.
covered as (

    select
        subscriptions.user_id,
        months.month_start,
        subscriptions.started_at < cast(months.month_start as timestamp) as is_at_start,
        coalesce(subscriptions.ended_at > cast(months.next_month_start as timestamp), true) as is_at_end,
        payments.amount_base / payments.period_months as monthly_amount
    from months
    inner join subscriptions
        on subscriptions.started_at < cast(months.next_month_start as timestamp)
        and (subscriptions.ended_at is null or subscriptions.ended_at > cast(months.month_start as timestamp))
    left join payments
        on subscriptions.subscription_id = payments.subscription_id
        and payments.paid_at < cast(months.next_month_start as timestamp)
        and (payments.next_paid_at is null or payments.next_paid_at >= cast(months.next_month_start as timestamp))

),

subscribed as (

    select
        user_id,
        month_start,
        max(case when is_at_start then 1 else 0 end) as is_at_start,
        max(case when is_at_end then 1 else 0 end) as is_at_end,
        sum(case when is_at_end then monthly_amount end) as monthly_amount
    from covered
    group by user_id, month_start

),

paid as (

    select
        user_id,
        {{ month_of('paid_on') }} as month_start,
        max(case when is_first then 1 else 0 end) as is_first,
        sum(amount_base) as amount_base
    from payments
    group by user_id, {{ month_of('paid_on') }}

),

-- To whom a list made for the reader was shown, on any surface.
personalised as (

    select distinct
        user_id,
        {{ month_of('shown_on') }} as month_start
    from {{ ref('fct_exposures') }}
    where user_id is not null
        and is_personalised
        and not coalesce(is_bot, false)

),

reader_months as (

    select distinct
        user_id,
        month_start
    from (
        select
            user_id,
            month_start
        from activity
        union all
        select
            user_id,
            month_start
        from subscribed
        union all
        select
            user_id,
            month_start
        from paid
    ) as found

),

final as (

    select
        reader_months.user_id,

        cast(coalesce(activity.active_days, 0) as bigint) as active_days,
        cast(coalesce(paid.amount_base, 0) as decimal(18, 4)) as amount_base,
        cast(coalesce(subscribed.monthly_amount, 0) as decimal(18, 4)) as monthly_amount,

        activity.user_id is not null as is_active,
        coalesce(subscribed.is_at_start, 0) = 1 as is_subscriber_at_start,
        coalesce(subscribed.is_at_end, 0) = 1 as is_subscriber_at_end,
        coalesce(paid.is_first, 0) = 1 as is_first_payment,
        personalised.user_id is not null as is_personalised,

        reader_months.month_start
    from reader_months
    left join activity
        on reader_months.user_id = activity.user_id
        and reader_months.month_start = activity.month_start
    left join subscribed
        on reader_months.user_id = subscribed.user_id
        and reader_months.month_start = subscribed.month_start
    left join paid
        on reader_months.user_id = paid.user_id
        and reader_months.month_start = paid.month_start
    left join personalised
        on reader_months.user_id = personalised.user_id
        and reader_months.month_start = personalised.month_start

)

select * from final
