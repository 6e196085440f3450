{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['request_id', 'book_id'],
    pre_hook="{{ drop_changed_requests() }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

items as (

    select *
    from {{ ref('int_recommendation_items') }}
    {%- if is_incremental() %}
    where request_id in (
        {{ changed_requests() }}
    )
    {%- endif %}

),

-- The delivery that counts of each event, with its books.
events as (

    select
        fct_events.*,
        items.book_id as item_book_id,
        items.item_number,
        items.position as item_position,
        items.propensity
    from {{ ref('fct_events') }} as fct_events
    inner join items
        on fct_events.occurred_on = items.occurred_on
        and fct_events.event_id = items.event_id
        and fct_events.object_key = items.object_key
        and fct_events.record_index = items.record_index

),

-- An answer that was logged twice was shown once, and so was a book that it holds twice.
shown as (

    select
        *,
        first_value(event_id) over (partition by request_id order by occurred_at, event_id) as first_event_id,
        row_number() over (
            partition by request_id, item_book_id
            order by occurred_at, event_id, item_number
        ) as showing
    from events
    where event_name = 'Recommendations Viewed'

),

responses as (

    select
        request_id,
        item_book_id,
        count(case when event_name = 'Recommendation Clicked' then 1 end) as clicks,
        min(case when event_name = 'Recommendation Clicked' then occurred_at end) as clicked_at,
        min(case when event_name = 'Recommendation Dismissed' then occurred_at end) as dismissed_at
    from events
    where event_name in ('Recommendation Clicked', 'Recommendation Dismissed')
    group by request_id, item_book_id

),

final as (

    select
        shown.request_id,
        shown.item_book_id as book_id,
        shown.event_id,
        shown.user_id,
        shown.visitor_id,
        shown.session_id,

        shown.surface,
        shown.model,
        shown.model_version,
        shown.experiment,
        shown.variant,

        shown.item_position as position,
        shown.propensity,
        cast(coalesce(responses.clicks, 0) as bigint) as clicks,

        shown.is_bot,
        responses.clicked_at is not null as is_clicked,
        responses.dismissed_at is not null as is_dismissed,

        shown.occurred_on as shown_on,
        shown.occurred_at as shown_at,
        responses.clicked_at,
        responses.dismissed_at
    from shown
    left join responses
        on shown.request_id = responses.request_id
        and shown.item_book_id = responses.item_book_id
    where shown.showing = 1
        and shown.event_id = shown.first_event_id

)

select * from final
-- In order of time, so that later builds read the last days only.
order by shown_on
