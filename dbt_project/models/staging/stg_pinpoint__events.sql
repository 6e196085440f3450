with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'pinpoint' and " ~ newly_loaded(),
        fields={
            'event_type': 'event_type',
            'event_timestamp': 'event_timestamp',
            'arrival_timestamp': 'arrival_timestamp',
            'given_client_id': ['client.client_id', 'endpoint.Id'],
            'known_user_id': 'endpoint.User.UserId',
            'session_key': 'session.session_id',
            'attributes': 'attributes',
            'metrics': 'metrics',
            'wrapped_endpoint': 'client_context.custom.endpoint',
            'device_locale': ['device.locale.code', 'endpoint.Demographic.Locale'],
            'device_platform': ['device.platform.name', 'endpoint.Demographic.Platform'],
            'known_app_version': ['application.version_name', 'endpoint.Demographic.AppVersion'],
            'device_model': ['device.model', 'endpoint.Demographic.Model'],
            'message_id': 'facets.email_channel.mail_event.mail.message_id',
            'user_agent': [
                'facets.email_channel.mail_event.click.user_agent', 'facets.email_channel.mail_event.open.user_agent',
            ],
        },
        inside={
            'attributes': {
                'given_book_id': ['book_id', 'bookId'],
                'given_request_id': ['request_id', 'requestId'],
                'query': 'query',
                'plan': 'plan',
                'currency': 'currency',
                'store': 'store',
                'surface': 'surface',
                'rating_text': 'rating',
                'chapter_text': 'chapter',
                'chapters_text': 'chapters',
                'position_text': 'position',
                'price_text': 'price',
            },
            'metrics': {
                'rating': 'rating',
                'chapter': 'chapter',
                'chapters': 'chapters',
                'position': 'position',
                'price': 'price',
            },
        },
    ) }}

),

-- Campaigns and journeys carry the endpoint as JSON text inside the record.
unwrapped as (

    select
        *,
        coalesce(known_user_id, {{ json_in_text('wrapped_endpoint', 'User.UserId') }}) as given_user_id,
        coalesce(device_platform, {{ json_in_text('wrapped_endpoint', 'Demographic.Platform') }}) as platform,
        coalesce(device_locale, {{ json_in_text('wrapped_endpoint', 'Demographic.Locale') }}) as locale,
        coalesce(known_app_version, {{ json_in_text('wrapped_endpoint', 'Demographic.AppVersion') }}) as app_version
    from records

),

-- What becomes of an e-mail carries the time at which it was sent: it happens when Pinpoint hears of it.
timed as (

    select
        *,
        case
            when event_type like '^_email.%' escape '^' and event_type != '_email.send'
                then coalesce(arrival_timestamp, event_timestamp)
            else event_timestamp
        end as happened_text
    from unwrapped

),

contents as (

    select
        *,
        {{ tracked_id('given_user_id') }} as user_id,
        {{ tracked_id('given_client_id') }} as client_id,
        {{ tracked_id('given_book_id') }} as book_id,
        {{ tracked_id('given_request_id') }} as request_id,
        {{ joined([
            'event_type', 'happened_text', 'coalesce(session_key, message_id)', 'attributes', 'metrics',
        ]) }} as content
    from timed

),

hashed as (

    select
        *,
        {{ hashed_content('content', ids=['coalesce(given_client_id, given_user_id)']) }} as event_id
    from contents

),

final as (

    select
        -- Pinpoint gives its events no id; the same content delivered again has the same hash.
        event_id,
        'pinpoint' as source,
        object_key,
        record_index,
        {{ pseudonym('user_id') }} as user_id,
        -- The client of a text message is the sender's account: every message stands alone, or readers would be mixed up.
        case when event_type like '^_SMS.%' escape '^' then event_id else {{ pseudonym('client_id') }} end as anonymous_id,
        cast(null as varchar) as previous_id,
        {{ pseudonym('book_id') }} as book_id,
        {{ pseudonym('request_id') }} as request_id,

        'track' as record_type,
        {{ redact_emails('event_type') }} as source_event,
        {{ redact_emails('query') }} as query,
        {{ redact_emails('plan') }} as plan,
        {{ redact_emails('currency') }} as currency,
        {{ redact_emails('store') }} as store,
        {{ redact_emails('surface') }} as surface,
        cast(null as varchar) as model,
        cast(null as varchar) as model_version,
        cast(null as varchar) as experiment,
        cast(null as varchar) as variant,
        cast(null as varchar) as label,
        cast(null as varchar) as value_text,
        cast(null as varchar) as items,
        cast(null as varchar) as answer_source,
        lower({{ redact_emails('platform') }}) as platform,
        replace({{ redact_emails('locale') }}, '_', '-') as locale,
        {{ redact_emails('app_version') }} as app_version,
        left(event_id, 12) as content_hash,
        -- The addresses that Pinpoint's records hold are those of mail servers and link scanners.
        cast(null as varchar) as ip_hash,

        try_cast(coalesce(rating, rating_text) as double) as rating,
        {{ integer_from_text('coalesce(chapter, chapter_text)') }} as chapter,
        {{ integer_from_text('coalesce(chapters, chapters_text)') }} as chapters,
        {{ integer_from_text('coalesce(position, position_text)') }} as position,
        cast(null as integer) as item_count,
        {{ money_from_text('coalesce(price, price_text)') }} as price,

        {{ looks_like_a_bot('user_agent') }} or {{ looks_like_a_bot('device_model') }} as is_bot,

        {{ timestamp_from_epoch_ms('happened_text') }} as occurred_at,
        landed_at,
        loaded_at
    from hashed

)

select * from final
