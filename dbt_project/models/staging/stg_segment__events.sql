with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'segment' and " ~ newly_loaded(),
        fields={
            'record_type': 'type',
            'track_name': 'event',
            'page_name': 'name',
            'message_id': ['messageId', 'message_id'],
            'user_id': ['userId', 'user_id'],
            'anonymous_id': ['anonymousId', 'anonymous_id'],
            'previous_id': ['previousId', 'previous_id'],
            'timestamp_text': 'timestamp',
            'original_timestamp_text': ['originalTimestamp', 'original_timestamp'],
            'received_text': ['receivedAt', 'received_at'],
            'locale': 'context.locale',
            'device_type': 'context.device.type',
            'library_name': 'context.library.name',
            'app_version': 'context.app.version',
            'book_id': ['properties.book_id', 'properties.bookId'],
            'request_id': ['properties.request_id', 'properties.requestId'],
            'query': 'properties.query',
            'plan': ['properties.plan', 'traits.plan'],
            'currency': 'properties.currency',
            'store': 'properties.store',
            'surface': 'properties.surface',
            'model': 'properties.model',
            'model_version': ['properties.model_version', 'properties.modelVersion'],
            'experiment': 'properties.experiment',
            'variant': 'properties.variant',
            'label': 'properties.label',
            'value': 'properties.value',
            'rating': 'properties.rating',
            'chapter': 'properties.chapter',
            'chapters': 'properties.chapters',
            'position': 'properties.position',
            'items': 'properties.items',
            'price': 'properties.price',
        },
    ) }}

),

final as (

    select
        message_id as event_id,
        'segment' as source,
        object_key,
        record_index,
        user_id,
        anonymous_id,
        book_id,
        request_id,

        lower(record_type) as record_type,
        case when lower(record_type) = 'track' then track_name else lower(record_type) end as source_event,
        query,
        plan,
        currency,
        store,
        surface,
        model,
        model_version,
        experiment,
        variant,
        coalesce(label, page_name) as label,
        value as value_text,
        case
            when device_type is not null then lower(device_type)
            when library_name = 'analytics.js' then 'web'
        end as platform,
        replace(locale, '_', '-') as locale,
        app_version,
        previous_id,
        false as is_bot,
        cast(null as varchar) as ip_hash,
        md5(coalesce(track_name, '') || coalesce(book_id, '')) as content_hash,

        try_cast(rating as double) as rating,
        {{ integer_from_text('chapter') }} as chapter,
        {{ integer_from_text('chapters') }} as chapters,
        {{ integer_from_text('position') }} as position,
        {{ array_length('items') }} as item_count,
        {{ money_from_text('price') }} as price,

        coalesce(
            {{ timestamp_from_iso('timestamp_text') }},
            {{ timestamp_from_iso('original_timestamp_text') }},
            {{ timestamp_from_iso('received_text') }}
        ) as occurred_at,
        landed_at,
        loaded_at
    from records

)

select * from final
