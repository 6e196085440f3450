with

events as (

    select * from {{ ref('fct_events') }}

),

users as (

    select * from {{ ref('dim_users') }}

),

activity as (

    select
        occurred_on,
        count(distinct user_id) as active_readers,
        count(distinct visitor_id) as active_visitors,
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
        -- Rounded, so that the order in which threads add up does not show.
        round(avg(case when event_name = 'Book Rated' then rating end), 6) as mean_rating
    from events
    group by occurred_on

),

newcomers as (

    select
        cast(first_seen_at as date) as occurred_on,
        count(*) as new_readers
    from users
    where first_seen_at is not null
    group by 1

),

final as (

    select
        activity.occurred_on,

        activity.active_readers,
        coalesce(newcomers.new_readers, 0) as new_readers,
        activity.active_visitors,
        activity.sessions,
        activity.events,
        activity.views,
        activity.starts,
        activity.chapters,
        activity.finishes,
        activity.saves,
        activity.ratings,
        activity.searches,
        activity.subscriptions_started,
        activity.subscriptions_cancelled,
        activity.mean_rating
    from activity
    left join newcomers on activity.occurred_on = newcomers.occurred_on

)

select * from final
