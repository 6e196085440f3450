with

events as (

    select * from {{ ref('fct_events') }}

),

final as (

    select
        session_id,
        min(visitor_id) as visitor_id,
        min(user_id) as user_id,

        min_by(source, event_number) as source,
        min_by(platform, event_number) as platform,
        min_by(event_name, event_number) as first_event_name,

        count(*) as events,
        count(distinct book_id) as books,
        count(case when event_name = 'Book Viewed' then 1 end) as views,
        count(case when event_name = 'Book Started' then 1 end) as starts,
        count(case when event_name = 'Chapter Completed' then 1 end) as chapters,
        count(case when event_name = 'Book Finished' then 1 end) as finishes,
        count(case when event_name = 'Books Searched' then 1 end) as searches,
        cast({{ dbt.datediff('min(occurred_at)', 'max(occurred_at)', 'second') }} as bigint) as duration_seconds,

        cast(min(occurred_at) as date) as started_on,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at
    from events
    group by session_id

)

select * from final
