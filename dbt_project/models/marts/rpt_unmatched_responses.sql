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

exposures as (

    {{ exposures_of_changed_requests() }}

),

responses as (

    {{ responses_in_events() }}

),

shown_to_anybody as (

    select distinct
        request_id,
        book_id
    from exposures

),

final as (

    select
        responses.request_id,
        responses.visitor_id,
        responses.book_id,

        case when shown_to_anybody.book_id is null then 'no_exposure' else 'other_visitor' end as reason,

        cast(responses.clicks as bigint) as clicks,
        cast(responses.dismissals as bigint) as dismissals,

        responses.is_bot,

        cast(responses.responded_at as date) as responded_on,
        responses.responded_at
    from responses
    left join exposures
        on responses.request_id = exposures.request_id
        and responses.visitor_id = exposures.visitor_id
        and responses.book_id = exposures.book_id
    left join shown_to_anybody
        on responses.request_id = shown_to_anybody.request_id
        and responses.book_id = shown_to_anybody.book_id
    where exposures.request_id is null

)

select * from final
