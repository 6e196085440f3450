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

final as (

    select
        dated.subscription_id,
        dated.user_id,
        dated.visitor_id,

        dated.plan,
        dated.store,
        dated.end_reason,

        dated.spell_number,
        dated.period_months,
        dated.payments,
        dated.renewals,
        cast(coalesce(payments.amount_base, 0) as decimal(18, 4)) as amount_base,

        dated.is_bot,
        dated.first_event_name = 'Subscription Started' as is_start_seen,

        -- A renewal says that there was a period before it, which is unknown where history begins. After a subscription that ended it
        -- begins another one: dated back it would change months that were complete.
        case
            when dated.first_event_name = 'Subscription Started' or dated.spell_number > 1 then dated.first_at
            else {{ dbt.dateadd('month', '-dated.period_months', 'dated.first_at') }}
        end as started_at,
        dated.cancelled_at,
        dated.paid_until,
        dated.ended_at
    from dated
    left join payments on dated.subscription_id = payments.subscription_id

)

select * from final
