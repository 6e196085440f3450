with

payments as (

    select *
    from {{ ref('int_subscription_events') }}
    where event_name in ('Subscription Started', 'Subscription Renewed')

),

rates as (

    select
        currency,
        rate_to_base,
        valid_from,
        lead(valid_from) over (partition by currency order by valid_from) as valid_until
    from {{ ref('exchange_rates') }}

),

final as (

    select
        payments.event_id,
        payments.subscription_id,
        payments.user_id,
        payments.visitor_id,

        payments.event_name,
        payments.plan,
        payments.store,
        payments.currency,

        payments.period_months,
        payments.price as amount,
        cast(payments.price * rates.rate_to_base as decimal(18, 4)) as amount_base,

        payments.is_bot,
        payments.event_name = 'Subscription Started'
        and payments.spell_number = 1
        and payments.event_number = 1 as is_first,

        payments.occurred_on as paid_on,
        payments.occurred_at as paid_at,
        lead(payments.occurred_at) over (
            partition by payments.subscription_id
            order by payments.occurred_at, payments.event_id
        ) as next_paid_at
    from payments
    left join rates
        on payments.currency = rates.currency
        and payments.occurred_on >= rates.valid_from
        and payments.occurred_on < coalesce(rates.valid_until, cast('9999-12-31' as date))

)

select * from final
