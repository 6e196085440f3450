{{ config(materialized='table') }}

-- A table made anew by each build: subscription events are few, and one late event may change all later ones of its reader.
with

events as (

    select
        *,
        -- Who pays nothing for longer than this has lapsed.
        case when event_name != 'Subscription Cancelled' then {{ paid_until('occurred_at', 'period_months') }} end as paid_until
    from (
        select
            event_id,
            user_id,
            visitor_id,
            event_name,
            plan,
            store,
            upper(trim(currency)) as currency,
            price,
            coalesce(is_bot, false) as is_bot,
            cast({{ months_of_plan('plan') }} as integer) as period_months,
            occurred_on,
            occurred_at,
            arrived_on
        from {{ ref('fct_events') }}
        where event_name in ('Subscription Started', 'Subscription Renewed', 'Subscription Cancelled')
    ) as subscription_events

),

preceded as (

    select
        *,
        lag(event_name) over (partition by visitor_id order by occurred_at, event_id) as event_before,
        {{ last_known('paid_until', 'visitor_id', 'occurred_at, event_id') }} as paid_until_before
    from events

),

numbered as (

    select
        *,
        sum(
            case
                when event_name = 'Subscription Started' or event_before is null then 1
                when event_name = 'Subscription Cancelled' then 0
                when event_before = 'Subscription Cancelled' then 1
                when occurred_at > {{ end_of_grace('paid_until_before') }} then 1
                else 0
            end
        ) over (
            partition by visitor_id
            order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as spell_number
    from preceded

),

final as (

    select
        event_id,
        first_value(event_id) over (
            partition by visitor_id, spell_number
            order by occurred_at, event_id
            rows between unbounded preceding and unbounded following
        ) as subscription_id,
        user_id,
        visitor_id,

        event_name,
        plan,
        store,
        currency,

        cast(spell_number as bigint) as spell_number,
        cast(
            row_number() over (partition by visitor_id, spell_number order by occurred_at, event_id) as bigint
        ) as event_number,
        period_months,
        price,

        is_bot,

        occurred_on,
        occurred_at,
        paid_until
    from numbered

)

select * from final
