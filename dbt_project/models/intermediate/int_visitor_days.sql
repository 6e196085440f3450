{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['visitor_id', 'occurred_on'],
    pre_hook="{{ drop_retired(['visitor_id', 'occurred_on']) }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

{% if is_incremental() -%}
changed_days as (

    select distinct
        visitor_id,
        occurred_on
    from {{ ref('int_event_sessions') }}
    where changed_to > {{ built_to() }}

),
{%- endif %}

events as (

    select fct_events.*
    from {{ ref('fct_events') }} as fct_events
    {%- if is_incremental() %}
    inner join changed_days
        on fct_events.occurred_on = changed_days.occurred_on
        and fct_events.visitor_id = changed_days.visitor_id
    {%- endif %}

),

final as (

    select
        visitor_id,
        min(user_id) as user_id,

        count(distinct session_id) as sessions,
        count(*) as events,
        count(case when event_name = 'Book Viewed' then 1 end) as views,
        count(case when event_name = 'Book Started' then 1 end) as starts,
        count(case when event_name = 'Chapter Completed' then 1 end) as chapters,
        count(case when event_name = 'Book Finished' then 1 end) as finishes,
        count(case when event_name = 'Book Saved' then 1 end) as saves,
        count(case when event_name = 'Book Rated' then 1 end) as ratings,
        count(case when event_name = 'Books Searched' then 1 end) as searches,
        count(case when event_name = 'Subscription Started' then 1 end) as subscriptions_started,
        count(case when event_name = 'Subscription Cancelled' then 1 end) as subscriptions_cancelled,
        -- Decimals, so that the order in which they are added does not show.
        cast(sum(case when event_name = 'Book Rated' then cast(rating as decimal(18, 6)) end) as double) as rating_total,

        occurred_on,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from events
    group by visitor_id, occurred_on

)

select * from final
