with

events as (

    select * from {{ ref('int_events__unioned') }}

),

final as (

    select
        *,
        case
            when event_id is null then 'event_id_missing'
            when event_name is null then 'event_name_missing'
            when user_id is null and anonymous_id is null then 'visitor_missing'
            -- The API's own: no other tracker has it, no reader does it, and it is marked as a machine's.
            when
                event_name = 'Answers Counted'
                and (
                    source != 'segment'
                    or source_event != 'Answers Counted'
                    or user_id is not null
                    or not coalesce(is_bot, false)
                )
                then 'not_counted_by_the_api'
            when occurred_at is null then 'occurred_at_unreadable'
            when occurred_at < cast('2000-01-01' as timestamp) then 'occurred_before_2000'
            when occurred_at > {{ dbt.dateadd('hour', var('clock_ahead_hours'), 'landed_at') }}
                then 'occurred_in_the_future'
            when event_name = 'User Signed In' and user_id is null then 'user_id_missing'
            when event_name = 'User Aliased' and previous_id is null then 'previous_id_missing'
            when
                book_id is null
                and event_name in (
                    'Book Viewed', 'Book Started', 'Chapter Completed', 'Book Finished', 'Book Saved', 'Book Removed',
                    'Book Rated', 'Recommendation Clicked', 'Recommendation Dismissed'
                )
                then 'book_id_missing'
            when
                request_id is null
                and event_name in (
                    'Recommendations Viewed', 'Recommendation Clicked', 'Recommendation Dismissed'
                )
                then 'request_id_missing'
            when event_name = 'Chapter Completed' and (chapter is null or chapters is null)
                then 'chapter_or_chapters_missing'
            when event_name = 'Chapter Completed' and chapter < 1 then 'chapter_below_1'
            when event_name = 'Chapter Completed' and chapter > chapters then 'chapter_after_the_last_one'
            when event_name in ('Book Rated', 'App Rated') and rating is null then 'rating_missing'
            when event_name in ('Book Rated', 'App Rated') and not rating between 1 and 5
                then 'rating_not_between_1_and_5'
            when event_name = 'App Rated' and store is null then 'store_missing'
            when event_name = 'Books Searched' and query is null then 'query_missing'
            when event_name = 'Recommendation Clicked' and position is null then 'position_missing'
            when event_name in ('Recommendations Viewed', 'Answers Counted') and item_count is null then 'items_missing'
            when
                event_name = 'Recommendations Viewed'
                and (
                    surface is null or model is null or model_version is null or experiment is null or variant is null
                )
                then 'provenance_of_recommendations_missing'
            when
                event_name in ('Subscription Started', 'Subscription Renewed')
                and (
                    plan is null or price is null or currency is null
                )
                then 'plan_price_or_currency_missing'
        end as invalid_reason
    from events

)

select * from final
