with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'matomo' and " ~ newly_loaded(),
        fields={
            'user_id': 'uid',
            'visitor_key': '_id',
            'random_key': 'rand',
            'created_text': 'cdt',
            'url': 'url',
            'action_name': 'action_name',
            'category': 'e_c',
            'action': 'e_a',
            'label': 'e_n',
            'value_text': 'e_v',
            'query': 'search',
            'locale': 'lang',
            'chapters': 'dimension1',
            'plan': 'dimension2',
            'currency': 'dimension3',
            'store': 'dimension4',
        },
    ) }}

),

final as (

    select
        -- Matomo gives its records no id; the same content delivered again has the same hash.
        {{ hashed_key([
            'visitor_key', 'user_id', 'random_key', 'created_text', 'url',
            'category', 'action', 'label', 'value_text', 'query',
        ]) }} as event_id,
        'matomo' as source,
        object_key,
        record_index,
        user_id,
        visitor_key as anonymous_id,
        cast(null as varchar) as book_id,
        cast(null as varchar) as request_id,

        case when category is null and query is null then 'page' else 'track' end as record_type,
        case
            when category is not null then category || coalesce(' ' || action, '')
            when query is not null then 'Site Search'
            else 'Page View'
        end as source_event,
        query,
        plan,
        currency,
        store,
        cast(null as varchar) as surface,
        cast(null as varchar) as model,
        cast(null as varchar) as model_version,
        cast(null as varchar) as experiment,
        cast(null as varchar) as variant,
        case when category is null and query is null then action_name else label end as label,
        value_text,
        'web' as platform,
        replace(locale, '_', '-') as locale,
        cast(null as varchar) as app_version,
        cast(null as varchar) as previous_id,
        false as is_bot,
        cast(null as varchar) as ip_hash,
        cast(null as varchar) as content_hash,

        cast(null as double) as rating,
        cast(null as integer) as chapter,
        {{ integer_from_text('chapters') }} as chapters,
        cast(null as integer) as position,
        cast(null as integer) as item_count,
        cast(null as decimal(18, 4)) as price,

        coalesce({{ timestamp_from_epoch_s('created_text') }}, {{ timestamp_from_iso('created_text') }}) as occurred_at,
        landed_at,
        loaded_at
    from records

)

select * from final
