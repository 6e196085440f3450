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
    {% if is_incremental() %}
    inner join changed_pairs
        on fct_events.user_id = changed_pairs.user_id
        and fct_events.book_id = changed_pairs.book_id
    {%- endif %}

),

-- Decimals: a sum of floating numbers would depend on the order of its rows.
event_weights as (

    select
        event_name,
        rating,
        cast(weight as decimal(38, 9)) as weight,
        cast(max_total as decimal(38, 9)) as max_total
    from {{ ref('event_weights') }}

),

-- The weight of every event: of a rating that of its own stars, whatever was rated later.
weighed_events as (

    select
        events.*,
        event_weights.weight as event_weight
    from events
    left join event_weights
        on events.event_name = event_weights.event_name
        and (event_weights.rating is null or cast(round(events.rating) as integer) = event_weights.rating)
    where events.user_id is not null
        and events.book_id is not null
        and not coalesce(events.is_bot, false)

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
        min(case when event_weight >= {{ var('liked_from') }} then occurred_at end) as first_liked_at,
        max(occurred_at) as last_at
    from weighed_events
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
        event_weights.rating is null and event_weights.weight < 0 as is_refusal,
        case
            when event_weights.rating is not null then event_weights.weight
            when event_weights.max_total is null then cast(actions.events as decimal(18, 0)) * event_weights.weight
            else least(cast(actions.events as decimal(18, 0)) * event_weights.weight, event_weights.max_total)
        end as weight,
        {{ moment_of('actions.last_at', 'actions.event_name') }} as last_moment,
        event_weights.weight as event_weight,
        max(case when event_weights.weight > 0 then event_weights.weight end)
            over (partition by actions.user_id, actions.book_id) as strongest_weight,
        actions.first_at,
        case when event_weights.weight >= {{ var('liked_from') }} then actions.first_liked_at end as first_liked_at,
        actions.last_at
    from actions
    inner join event_weights
        on actions.event_name = event_weights.event_name
        and (event_weights.rating is null or actions.latest_rating = event_weights.rating)

),

-- Beside each kind of action when the reader last refused the book, and how much that weighs.
refused as (

    select
        *,
        max(case when is_refusal then last_moment end) over (partition by user_id, book_id) as refused_at,
        min(case when is_refusal then event_weight end) over (partition by user_id, book_id) as refusal
    from weighted

),

combined as (

    select
        user_id,
        book_id,
        max_by(event_name, last_moment) as last_action,
        sum(weight) as weight,
        coalesce(sum(case when is_refusal then weight end), 0) as weight_of_refusals,
        max(case when rating is not null then weight end) as rating_weight,
        max(case when refused_at is null or last_moment > refused_at then event_weight end) as heaviest_since,
        max(refusal) as refusal,
        sum(events) as events,
        max(rating) as rating,
        coalesce(max(case when event_name = 'Book Finished' then 1 end), 0) = 1 as has_finished,
        max(case when event_name = 'Book Saved' then last_moment end) as saved_at,
        max(case when event_name = 'Book Removed' then last_moment end) as removed_at,
        min(case when event_name = 'Book Saved' then first_liked_at end) as first_saved_at,
        min(case when event_name <> 'Book Saved' then first_liked_at end) as first_otherwise_liked_at,
        min(case when event_weight = strongest_weight then event_name end) as strongest_action,
        max(strongest_weight) as strongest_weight,
        min(case when event_weight = strongest_weight then first_at end) as first_strongest_at,
        min(first_at) as first_at,
        max(last_at) as last_at
    from refused
    group by user_id, book_id

),

-- A book that was read is judged by its stars alone: who takes it off the shelf tidies up. Of another book a refusal stands until
-- the reader does something that weighs as much. A save counts until the book is removed; least() of Snowflake is null if one
-- of both is.
judged as (

    select
        *,
        has_finished or rating is not null as is_finished,
        case
            when has_finished or rating is not null then coalesce(rating_weight < 0, false)
            else coalesce(coalesce(heaviest_since, 0) < -refusal, false)
        end as is_disliked,
        case
            when saved_at is null or not coalesce(saved_at > removed_at, true) then first_otherwise_liked_at
            else
                least(coalesce(first_saved_at, first_otherwise_liked_at), coalesce(first_otherwise_liked_at, first_saved_at))
        end as liked_at
    from combined

),

final as (

    select
        user_id,
        book_id,

        last_action,

        cast(
            case
                when is_disliked and is_finished then rating_weight
                when is_disliked then weight_of_refusals
                when is_finished then weight - weight_of_refusals
                else greatest(weight, heaviest_since)
            end as double
        ) as weight,
        cast(events as bigint) as events,
        rating,

        liked_at is not null and not is_disliked as is_positive,
        is_finished,

        strongest_action,
        cast(strongest_weight as double) as strongest_weight,

        first_at,
        first_strongest_at,
        case when not is_disliked then liked_at end as first_liked_at,
        last_at
    from judged

)

select * from final
