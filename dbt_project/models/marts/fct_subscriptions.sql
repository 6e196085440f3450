with

events as (

    select * from {{ ref('int_subscription_events') }}

),

payments as (

    select
        subscription_id,
        sum(amount_base) as amount_base
    from {{ ref('fct_payments') }}
    group by subscription_id

),

-- What has arrived, and not the clock, tells whether a payment is missing: a build without new data changes nothing.
arrivals as (

    select cast(max(arrived_on) as timestamp) as arrived_until
    from {{ ref('fct_events') }}

),

spells as (

    select
        subscription_id,
        visitor_id,
        min(user_id) as user_id,

        min_by(event_name, event_number) as first_event_name,
        max_by(plan, case when plan is not null then event_number end) as plan,
        max_by(store, case when store is not null then event_number end) as store,

        min(spell_number) as spell_number,
        -- A cancellation may not say for which plan: the payments do.
        max_by(period_months, case when paid_until is not null then event_number else 0 end) as period_months,
        count(paid_until) as payments,
        count(case when event_name = 'Subscription Renewed' then 1 end) as renewals,

        coalesce(max(case when is_bot then 1 end), 0) = 1 as is_bot,

        min(occurred_at) as first_at,
        min(case when event_name = 'Subscription Cancelled' then occurred_at end) as cancelled_at,
        max(paid_until) as paid_until
    from events
    group by subscription_id, visitor_id

),

followed as (

    select
        spells.*,
        arrivals.arrived_until,
        lead(spells.first_at) over (partition by spells.visitor_id order by spells.spell_number) as next_at
    from spells
    cross join arrivals

),

ended as (

    select
        *,
        case
            when cancelled_at <= coalesce({{ end_of_grace('paid_until') }}, cancelled_at) then 'cancelled'
            when {{ end_of_grace('paid_until') }} < coalesce(next_at, arrived_until) then 'lapsed'
            when next_at is not null then 'restarted'
        end as end_reason
    from followed

),

dated as (

    select
        *,
        case end_reason when 'cancelled' then cancelled_at when 'lapsed' then paid_until when 'restarted' then next_at end as ended_at
    from ended

),

preceded as (

    select
        *,
        lag(ended_at) over (partition by visitor_id order by spell_number) as ended_before_at
    from dated

),

final as (

    select
        preceded.subscription_id,
        preceded.user_id,
        preceded.visitor_id,

        preceded.plan,
        preceded.store,
        preceded.end_reason,

        preceded.spell_number,
        preceded.period_months,
        preceded.payments,
        preceded.renewals,
        cast(coalesce(payments.amount_base, 0) as decimal(18, 4)) as amount_base,

        preceded.is_bot,
        preceded.first_event_name = 'Subscription Started' as is_start_seen,

        case
            when preceded.first_event_name = 'Subscription Started' then preceded.first_at
            else
                greatest(
                    {{ dbt.dateadd('month', '-preceded.period_months', 'preceded.first_at') }},
                    coalesce(preceded.ended_before_at, cast('1970-01-01' as timestamp))
                )
        end as started_at,
        preceded.cancelled_at,
        preceded.paid_until,
        preceded.ended_at
    from preceded
    left join payments on preceded.subscription_id = payments.subscription_id

)

select * from final
