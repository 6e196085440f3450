with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'pinpoint' and " ~ newly_loaded(),
        fields={
            'event_type': 'event_type',
            'event_timestamp': 'event_timestamp',
            'client_id': 'client.client_id',
            'user_id': 'endpoint.User.UserId',
            'session_key': 'session.session_id',
            'attributes': 'attributes',
            'metrics': 'metrics',
            'locale': 'device.locale.code',
            'platform': 'device.platform.name',
            'app_version': 'application.version_name',
            'book_id': 'attributes.book_id',
            'request_id': 'attributes.request_id',
            'query': 'attributes.query',
            'plan': 'attributes.plan',
            'currency': 'attributes.currency',
            'store': 'attributes.store',
            'surface': 'attributes.surface',
            'rating': ['metrics.rating', 'attributes.rating'],
            'chapter': ['metrics.chapter', 'attributes.chapter'],
            'chapters': ['metrics.chapters', 'attributes.chapters'],
            'position': ['metrics.position', 'attributes.position'],
            'price': ['metrics.price', 'attributes.price'],
        },
    ) }}

),

final as (

    select
        -- Pinpoint gives its events no id; the same content delivered again has the same hash.
        {{ hashed_key(['client_id', 'event_type', 'event_timestamp', 'session_key', 'attributes', 'metrics']) }}
            as event_id,
        'pinpoint' as source,
        object_key,
        record_index,
        user_id,
        client_id as anonymous_id,
        book_id,
        request_id,

        'track' as record_type,
        event_type as source_event,
        query,
        plan,
        currency,
        store,
        surface,
        cast(null as varchar) as model,
        cast(null as varchar) as model_version,
        cast(null as varchar) as experiment,
        cast(null as varchar) as variant,
        cast(null as varchar) as label,
        cast(null as varchar) as value_text,
        lower(platform) as platform,
        replace(locale, '_', '-') as locale,
        app_version,
        cast(null as varchar) as previous_id,
        false as is_bot,
        cast(null as varchar) as ip_hash,
        cast(null as varchar) as content_hash,

        try_cast(rating as double) as rating,
        {{ integer_from_text('chapter') }} as chapter,
        {{ integer_from_text('chapters') }} as chapters,
        {{ integer_from_text('position') }} as position,
        cast(null as integer) as item_count,
        {{ money_from_text('price') }} as price,

        {{ timestamp_from_epoch_ms('event_timestamp') }} as occurred_at,
        landed_at,
        loaded_at
    from records

)

select * from final
