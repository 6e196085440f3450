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

    select
        fct_events.*,
        coalesce(fct_events.is_bot, false) as is_by_bot,
        -- What a person did: what a bot does counts for nothing else, nor what is done to a reader.
        case
            when not coalesce(fct_events.is_bot, false) and {{ is_reader_activity('fct_events.event_name') }}
                then fct_events.event_name
        end as done
    from {{ ref('fct_events') }} as fct_events
    {% if is_incremental() %}
    inner join changed_days
        on fct_events.occurred_on = changed_days.occurred_on
        and fct_events.visitor_id = changed_days.visitor_id
    {%- endif %}

),

final as (

    select
        visitor_id,
        min(user_id) as user_id,

        count(distinct case when done is not null then session_id end) as sessions,
        count(done) as events,
        count(case when is_by_bot then 1 end) as bot_events,
        count(case when done = 'Book Viewed' then 1 end) as views,
        count(case when done = 'Book Started' then 1 end) as starts,
        count(case when done = 'Chapter Completed' then 1 end) as chapters,
        count(case when done = 'Book Finished' then 1 end) as finishes,
        count(case when done = 'Book Saved' then 1 end) as saves,
        count(case when done = 'Book Rated' then 1 end) as ratings,
        count(case when done = 'Books Searched' then 1 end) as searches,
        count(case when done = 'Subscription Started' then 1 end) as subscriptions_started,
        count(case when done = 'Subscription Cancelled' then 1 end) as subscriptions_cancelled,
        -- Decimals, so that the order in which they are added does not show.
        cast(sum(case when done = 'Book Rated' then cast(rating as decimal(18, 6)) end) as double) as rating_total,

        occurred_on,
        min(case when done is not null then occurred_at end) as first_at,
        max(case when done is not null then occurred_at end) as last_at
    from events
    group by visitor_id, occurred_on

)

select * from final
