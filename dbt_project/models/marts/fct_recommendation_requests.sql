{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['request_id', 'visitor_id'],
    pre_hook="{{ drop_changed_requests() }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

events as (

    {{ recommendation_events() }}

),

exposures as (

    {{ exposures_of_changed_requests() }}

),

-- One row for each answer: the item with number 0 is the answer itself.
answers as (

    select
        *,
        row_number() over (partition by request_id, visitor_id order by occurred_at, event_id) as answer_number,
        count(*) over (partition by request_id, visitor_id) as answers,
        max(item_count) over (partition by request_id, visitor_id) as longest_list
    from events
    where event_name = 'Recommendations Viewed'
        and item_number = 0

),

shown as (

    select
        request_id,
        visitor_id,
        count(*) as books,
        sum(clicks) as clicks,
        count(case when is_clicked then 1 end) as clicked_books,
        count(case when is_clicked_in_time then 1 end) as books_clicked_in_time,
        count(case when is_dismissed then 1 end) as dismissed_books
    from exposures
    group by request_id, visitor_id

),

final as (

    select
        answers.request_id,
        answers.event_id,
        answers.user_id,
        answers.visitor_id,
        case when answers.is_stitched then answers.anonymous_id else answers.visitor_id end as unit_id,
        answers.session_id,

        answers.surface,
        answers.model,
        answers.model_version,
        answers.experiment,
        answers.variant,
        answers.answer_source,

        cast(answers.answers as bigint) as answers,
        cast(coalesce(shown.books, 0) as bigint) as books,
        cast(coalesce(shown.clicks, 0) as bigint) as clicks,
        cast(coalesce(shown.clicked_books, 0) as bigint) as clicked_books,
        cast(coalesce(shown.books_clicked_in_time, 0) as bigint) as books_clicked_in_time,
        cast(coalesce(shown.dismissed_books, 0) as bigint) as dismissed_books,

        answers.is_bot,
        answers.longest_list = 0 as is_empty,

        answers.occurred_on as shown_on,
        answers.occurred_at as shown_at
    from answers
    left join shown
        on answers.request_id = shown.request_id
        and answers.visitor_id = shown.visitor_id
    where answers.answer_number = 1

)

select * from final
-- In order of time, so that later builds read the last days only.
order by shown_on
