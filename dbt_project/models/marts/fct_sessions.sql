{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='session_id',
    pre_hook="{{ drop_retired(['session_id']) }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

events as (

    select *
    from {{ ref('fct_events') }}
    {%- if is_incremental() %}
    where occurred_on >= {{ oldest_change('session_started_on') }}
        and session_id in (
            select session_id
            from {{ ref('int_event_sessions') }}
            where changed_to > {{ built_to() }}
        )
    {%- endif %}

),

rates as (

    select
        session_id,
        max(events) as most_events_a_minute
    from (
        select
            session_id,
            count(*) as events
        from events
        group by session_id, {{ dbt.date_trunc('minute', 'occurred_at') }}
    ) as minutes
    group by session_id

),

counted as (

    select
        session_id,
        min(visitor_id) as visitor_id,
        min(user_id) as user_id,

        min_by(source, event_number) as source,
        min_by(platform, event_number) as platform,
        min_by(event_name, event_number) as first_event_name,

        count(*) as events,
        count(distinct book_id) as books,
        count(distinct source) as sources,
        count(case when event_name = 'Book Viewed' then 1 end) as views,
        count(case when event_name = 'Book Started' then 1 end) as starts,
        count(case when event_name = 'Chapter Completed' then 1 end) as chapters,
        count(case when event_name = 'Book Finished' then 1 end) as finishes,
        count(case when event_name = 'Books Searched' then 1 end) as searches,
        cast({{ dbt.datediff('min(occurred_at)', 'max(occurred_at)', 'second') }} as bigint) as duration_seconds,

        coalesce(max(case when is_bot then 1 end), 0) = 1 as is_bot,

        cast(min(occurred_at) as date) as started_on,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at
    from events
    group by session_id

),

final as (

    select
        counted.session_id,
        counted.visitor_id,
        counted.user_id,

        counted.source,
        counted.platform,
        counted.first_event_name,

        counted.events,
        counted.books,
        counted.sources,
        counted.views,
        counted.starts,
        counted.chapters,
        counted.finishes,
        counted.searches,
        counted.duration_seconds,
        rates.most_events_a_minute,

        counted.is_bot,
        rates.most_events_a_minute > {{ var('human_events_a_minute') }} as is_too_fast,

        counted.started_on,
        counted.started_at,
        counted.ended_at
    from counted
    inner join rates on counted.session_id = rates.session_id

)

select * from final
