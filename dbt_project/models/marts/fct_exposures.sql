{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['request_id', 'visitor_id', 'book_id'],
    pre_hook="{{ drop_changed_requests() }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

events as (

    {{ recommendation_events() }}

),

-- A request may show more later, or to another visitor; what it shows a visitor twice was shown once, as it was shown first.
shown as (

    select
        *,
        row_number() over (
            partition by request_id, visitor_id, item_book_id
            order by occurred_at, event_id, item_number
        ) as showing
    from events
    where event_name = 'Recommendations Viewed'
        and item_number > 0

),

responses as (

    {{ responses_in_events() }}

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
        shown.draw_id,
        cast(coalesce(responses.clicks, 0) as bigint) as clicks,

        shown.is_bot,
        {{ is_personalised('shown.model') }} as is_personalised,
        responses.clicked_at is not null as is_clicked,
        coalesce(
            responses.clicked_at <= {{ dbt.dateadd('hour', var('click_window_hours'), 'shown.occurred_at') }},
            false
        ) as is_clicked_in_time,
        responses.dismissed_at is not null as is_dismissed,

        shown.occurred_on as shown_on,
        shown.occurred_at as shown_at,
        responses.clicked_at,
        responses.dismissed_at
    from shown
    left join responses
        on shown.request_id = responses.request_id
        and shown.visitor_id = responses.visitor_id
        and shown.item_book_id = responses.book_id
    where shown.showing = 1

)

select * from final
-- In order of time, so that later builds read the last days only.
order by shown_on
