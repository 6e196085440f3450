with

visitor_days as (

    select * from {{ ref('int_visitor_days') }}

),

users as (

    select * from {{ ref('dim_users') }}

),

activity as (

    select
        occurred_on,
        count(distinct case when events > 0 then user_id end) as active_readers,
        count(case when events > 0 then 1 end) as active_visitors,
        -- A session over midnight counts on both days.
        sum(sessions) as sessions,
        sum(events) as events,
        sum(bot_events) as bot_events,
        sum(views) as views,
        sum(starts) as starts,
        sum(chapters) as chapters,
        sum(finishes) as finishes,
        sum(saves) as saves,
        sum(ratings) as ratings,
        sum(searches) as searches,
        sum(subscriptions_started) as subscriptions_started,
        sum(subscriptions_cancelled) as subscriptions_cancelled,
        cast(sum(cast(rating_total as decimal(18, 6))) as double) as rating_total
    from visitor_days
    group by occurred_on

),

newcomers as (

    select
        cast(first_seen_at as date) as occurred_on,
        count(*) as new_readers
    from users
    where first_seen_at is not null
    group by cast(first_seen_at as date)

),

final as (

    select
        activity.occurred_on,

        cast(activity.active_readers as bigint) as active_readers,
        cast(coalesce(newcomers.new_readers, 0) as bigint) as new_readers,
        cast(activity.active_visitors as bigint) as active_visitors,
        cast(activity.sessions as bigint) as sessions,
        cast(activity.events as bigint) as events,
        cast(coalesce(activity.bot_events, 0) as bigint) as bot_events,
        cast(activity.views as bigint) as views,
        cast(activity.starts as bigint) as starts,
        cast(activity.chapters as bigint) as chapters,
        cast(activity.finishes as bigint) as finishes,
        cast(activity.saves as bigint) as saves,
        cast(activity.ratings as bigint) as ratings,
        cast(activity.searches as bigint) as searches,
        cast(activity.subscriptions_started as bigint) as subscriptions_started,
        cast(activity.subscriptions_cancelled as bigint) as subscriptions_cancelled,
        round(activity.rating_total / nullif(activity.ratings, 0), 6) as mean_rating
    from activity
    left join newcomers on activity.occurred_on = newcomers.occurred_on

)

select * from final
