{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['user_id', 'book_id'],
    pre_hook="{{ drop_changed(['user_id', 'book_id']) }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

{% if is_incremental() -%}
changed_pairs as (

    select distinct
        user_id,
        book_id
    from {{ ref('int_event_sessions') }}
    where changed_to > {{ built_to() }}

),
{%- endif %}

events as (

    select fct_events.*
    from {{ ref('fct_events') }} as fct_events
    {%- if is_incremental() %}
    inner join changed_pairs
        on fct_events.user_id = changed_pairs.user_id
        and fct_events.book_id = changed_pairs.book_id
    {%- endif %}

),

event_weights as (

    select * from {{ ref('event_weights') }}

),

-- All a reader did to a book, one row for each kind of action.
actions as (

    select
        user_id,
        book_id,
        event_name,
        count(*) as events,
        cast(
            round(max_by(rating, case when rating is not null then {{ moment_of('occurred_at', 'rating') }} end)) as integer
        ) as latest_rating,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from events
    where user_id is not null
        and book_id is not null
    group by user_id, book_id, event_name

),

-- Only the latest rating counts, and once; other actions add up, to a ceiling where there is one.
weighted as (

    select
        actions.user_id,
        actions.book_id,
        actions.event_name,
        actions.events,
        case when event_weights.rating is not null then actions.latest_rating end as rating,
        case
            when event_weights.rating is not null then event_weights.weight
            when event_weights.max_total is null then actions.events * event_weights.weight
            else least(actions.events * event_weights.weight, event_weights.max_total)
        end as weight,
        {{ moment_of('actions.last_at', 'actions.event_name') }} as last_moment,
        actions.first_at,
        actions.last_at
    from actions
    inner join event_weights
        on actions.event_name = event_weights.event_name
        and (event_weights.rating is null or actions.latest_rating = event_weights.rating)

),

combined as (

    select
        user_id,
        book_id,
        max_by(event_name, last_moment) as last_action,
        sum(weight) as weight,
        sum(events) as events,
        max(rating) as rating,
        coalesce(max(case when event_name = 'Book Finished' then 1 end), 0) = 1 as has_finished,
        max(case when event_name = 'Book Saved' then last_moment end) as saved_at,
        max(case when event_name = 'Book Removed' then last_moment end) as removed_at,
        min(first_at) as first_at,
        max(last_at) as last_at
    from weighted
    group by user_id, book_id

),

final as (

    select
        user_id,
        book_id,

        last_action,

        cast(weight as double) as weight,
        cast(events as bigint) as events,
        rating,

        (
            has_finished
            or coalesce(rating, 0) >= 4
            or (saved_at is not null and coalesce(saved_at > removed_at, true))
        )
        and coalesce(rating, 3) > 2 as is_positive,
        has_finished or rating is not null as is_finished,

        first_at,
        last_at
    from combined

)

select * from final
