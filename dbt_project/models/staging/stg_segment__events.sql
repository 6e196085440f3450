with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'segment' and " ~ newly_loaded(),
        fields={
            'given_type': 'type',
            'track_name': 'event',
            'page_name': 'name',
            'given_message_id': ['messageId', 'message_id'],
            'given_user_id': ['userId', 'user_id'],
            'given_anonymous_id': ['anonymousId', 'anonymous_id'],
            'given_previous_id': ['previousId', 'previous_id'],
            'group_id': ['groupId', 'group_id'],
            'timestamp_text': 'timestamp',
            'original_text': ['originalTimestamp', 'original_timestamp'],
            'sent_text': ['sentAt', 'sent_at'],
            'received_text': ['receivedAt', 'received_at'],
            'locale': 'context.locale',
            'device_type': 'context.device.type',
            'library_name': 'context.library.name',
            'app_version': 'context.app.version',
            'user_agent': ['context.userAgent', 'context.user_agent'],
            'ip': 'context.ip',
            'properties': 'properties',
            'traits': 'traits',
        },
        inside={
            'properties': {
                'given_book_id': ['book_id', 'bookId'],
                'given_request_id': ['request_id', 'requestId'],
                'query': 'query',
                'bought_plan': 'plan',
                'currency': 'currency',
                'store': 'store',
                'surface': 'surface',
                'model': 'model',
                'model_version': ['model_version', 'modelVersion'],
                'experiment': 'experiment',
                'variant': 'variant',
                'label': 'label',
                'value': 'value',
                'rating': 'rating',
                'chapter': 'chapter',
                'chapters': 'chapters',
                'position': 'position',
                'items': 'items',
                'answer_source': 'source',
                'price': 'price',
            },
            'traits': {
                'plan_of_reader': 'plan',
            },
        },
    ) }}

),

-- A record with an event's name but no type is of the time when `track` was the only type.
typed as (

    select
        *,
        coalesce(lower({{ redact_emails('given_type') }}), case when track_name is not null then 'track' end) as record_type,
        {{ tracked_id('given_message_id') }} as message_id,
        {{ tracked_id('given_user_id') }} as user_id,
        {{ tracked_id('given_anonymous_id') }} as anonymous_id,
        {{ tracked_id('given_previous_id') }} as previous_id,
        {{ tracked_id('given_book_id') }} as book_id,
        {{ tracked_id('given_request_id') }} as request_id,
        -- What the event says. Not its times, which differ between deliveries, nor its context.
        {{ joined([
            'given_type', 'coalesce(track_name, page_name, given_previous_id, group_id)', 'given_user_id', 'given_anonymous_id',
            'properties', 'traits',
        ]) }} as content
    from records

),

final as (

    select
        {{ pseudonym('message_id') }} as event_id,
        'segment' as source,
        object_key,
        record_index,
        {{ pseudonym('user_id') }} as user_id,
        {{ pseudonym('anonymous_id') }} as anonymous_id,
        {{ pseudonym('previous_id') }} as previous_id,
        {{ pseudonym('book_id') }} as book_id,
        {{ pseudonym('request_id') }} as request_id,

        record_type,
        case when record_type = 'track' then {{ redact_emails('track_name') }} else record_type end as source_event,
        {{ redact_emails('query') }} as query,
        {{ redact_emails('coalesce(bought_plan, plan_of_reader)') }} as plan,
        {{ redact_emails('currency') }} as currency,
        {{ redact_emails('store') }} as store,
        {{ redact_emails('surface') }} as surface,
        {{ redact_emails('model') }} as model,
        {{ redact_emails('model_version') }} as model_version,
        {{ redact_emails('experiment') }} as experiment,
        {{ redact_emails('variant') }} as variant,
        case
            when record_type = 'group' then {{ redact_emails('group_id') }}
            -- A page has a name of its own, whatever its properties are called.
            when record_type in ('page', 'screen') and page_name is not null then {{ redact_emails('page_name') }}
            when label is not null then {{ redact_emails('label') }}
            else {{ redact_emails('page_name') }}
        end as label,
        {{ redact_emails('value') }} as value_text,
        {{ redact_emails('items') }} as items,
        {{ redact_emails('answer_source') }} as answer_source,
        case
            when device_type is not null then lower({{ redact_emails('device_type') }})
            when library_name = 'analytics.js' then 'web'
        end as platform,
        replace({{ redact_emails('locale') }}, '_', '-') as locale,
        {{ redact_emails('app_version') }} as app_version,
        left({{ hashed_content('content') }}, 12) as content_hash,
        {{ salted_hash('ip') }} as ip_hash,

        try_cast(rating as double) as rating,
        {{ integer_from_text('chapter') }} as chapter,
        {{ integer_from_text('chapters') }} as chapters,
        {{ integer_from_text('position') }} as position,
        {{ array_length('items') }} as item_count,
        {{ money_from_text('price') }} as price,

        {{ looks_like_a_bot('user_agent') }} or coalesce(lower(device_type) in ('bot', 'crawler', 'spider'), false) as is_bot,

        coalesce(
            {{ corrected_for_clock_skew('received_text', 'sent_text', 'original_text') }},
            {{ timestamp_from_iso('timestamp_text') }},
            {{ timestamp_from_iso('original_text') }},
            {{ timestamp_from_iso('received_text') }}
        ) as occurred_at,
        landed_at,
        loaded_at
    from typed

)

select * from final
