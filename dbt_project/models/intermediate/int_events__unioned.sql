{%- set columns = [
    'event_id', 'source', 'object_key', 'record_index', 'user_id', 'anonymous_id', 'previous_id', 'book_id', 'request_id',
    'record_type', 'source_event', 'query', 'plan', 'currency', 'store',
    'surface', 'model', 'model_version', 'experiment', 'variant', 'label',
    'value_text', 'items', 'answer_source', 'platform', 'locale', 'app_version', 'ip_hash', 'content_hash', 'is_bot',
    'rating', 'chapter', 'chapters', 'position', 'item_count', 'price',
    'occurred_at', 'landed_at', 'loaded_at',
] -%}
{%- set trackers = ['stg_segment__events', 'stg_pinpoint__events', 'stg_matomo__events'] -%}

with

unioned as (

    {% for tracker in trackers -%}
    select {{ columns | join(', ') }}
    from {{ ref(tracker) }}
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

event_names as (

    select * from {{ ref('event_names') }}

),

-- Named here and not in staging, so that a line added to the seed also renames what was loaded before.
named as (

    select
        unioned.*,
        case
            -- Traits of somebody who is not known are no sign-in.
            when unioned.record_type = 'identify' and unioned.user_id is null then 'Traits Set'
            else coalesce(event_names.event_name, unioned.source_event)
        end as event_name
    from unioned
    left join event_names
        on unioned.source = event_names.source
        and unioned.source_event = event_names.source_event

),

-- Matomo has one name and one value for an event; what they mean depends on the event.
final as (

    select
        event_id,
        source,
        object_key,
        record_index,
        user_id,
        anonymous_id,
        previous_id,
        case
            when
                source = 'matomo'
                and (
                    event_name like 'Book %'
                    or event_name in ('Chapter Completed', 'Recommendation Clicked', 'Recommendation Dismissed')
                )
                then {{ tracked_id('label') }}
            else book_id
        end as book_id,
        request_id,

        case when event_name = 'User Signed In' then 'identify' else record_type end as record_type,
        source_event,
        event_name,
        query,
        plan,
        currency,
        store,
        surface,
        model,
        model_version,
        experiment,
        variant,
        label,
        items,
        answer_source,
        platform,
        case when {{ value_or_null('locale') }} is not null then {{ standard_locale('locale') }} end as locale,
        app_version,
        ip_hash,
        content_hash,

        -- Of another event it is nobody's rating but, say, the mean that a page shows.
        case
            when event_name in ('Book Rated', 'App Rated')
                then case when source = 'matomo' then try_cast(value_text as double) else rating end
        end as rating,
        case
            when source = 'matomo' and event_name = 'Chapter Completed' then {{ integer_from_text('value_text') }}
            else chapter
        end as chapter,
        chapters,
        case
            when source = 'matomo' and event_name = 'Recommendation Clicked' then {{ integer_from_text('value_text') }}
            else position
        end as position,
        item_count,
        case
            when source = 'matomo' and event_name like 'Subscription %' then {{ money_from_text('value_text') }}
            else price
        end as price,

        is_bot,

        occurred_at,
        cast(landed_at as date) as arrived_on,
        landed_at,
        loaded_at
    from named

)

select * from final
