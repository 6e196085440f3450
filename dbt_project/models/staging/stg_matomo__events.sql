with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'matomo' and " ~ newly_loaded(),
        fields={
            'user_id': 'uid',
            'visitor_key': ['_id', 'cid'],
            'random_key': 'rand',
            'created_text': 'cdt',
            'url': 'url',
            'action_name': 'action_name',
            'category': 'e_c',
            'action': 'e_a',
            'event_label': 'e_n',
            'event_value': 'e_v',
            'query': 'search',
            'search_category': 'search_cat',
            'goal': 'idgoal',
            'revenue': 'revenue',
            'download': 'download',
            'link': 'link',
            'ping': 'ping',
            'language': 'lang',
            'user_agent': 'ua',
            'ip': 'cip',
            'chapters': 'dimension1',
            'plan': 'dimension2',
            'currency': 'dimension3',
            'store': 'dimension4',
        },
    ) }}

),

-- One request is one action; the first of these keys that it has says which.
named as (

    select
        *,
        case
            when category is not null then category || coalesce(' ' || action, '')
            when query is not null then 'Site Search'
            when goal is not null then 'Goal ' || goal
            when download is not null then 'Download'
            when link is not null then 'Outlink'
            when ping is not null then 'Ping'
            else 'Page View'
        end as action_kind,
        {{ joined([
            'random_key', 'created_text', 'url', 'action_name',
            'category', 'action', 'event_label', 'event_value', 'query', 'search_category',
            'goal', 'revenue', 'download', 'link', 'ping', 'chapters', 'plan', 'currency', 'store',
        ]) }} as content
    from records

),

hashed as (

    select
        *,
        {{ hashed_content('content', ids=['visitor_key', 'user_id']) }} as event_id,
        -- The title of the page stands in for no other label: not for a book that is missing.
        case action_kind
            when 'Page View' then action_name
            when 'Site Search' then search_category
            when 'Download' then download
            when 'Outlink' then link
            else event_label
        end as label
    from named

),

final as (

    select
        -- Matomo gives its records no id; the same content delivered again has the same hash.
        event_id,
        'matomo' as source,
        object_key,
        record_index,
        {{ pseudonym('user_id') }} as user_id,
        {{ pseudonym('visitor_key') }} as anonymous_id,
        cast(null as varchar) as previous_id,
        cast(null as varchar) as book_id,
        cast(null as varchar) as request_id,

        case when action_kind = 'Page View' then 'page' else 'track' end as record_type,
        {{ redact_emails('action_kind') }} as source_event,
        {{ redact_emails('query') }} as query,
        {{ redact_emails('plan') }} as plan,
        {{ redact_emails('currency') }} as currency,
        {{ redact_emails('store') }} as store,
        cast(null as varchar) as surface,
        cast(null as varchar) as model,
        cast(null as varchar) as model_version,
        cast(null as varchar) as experiment,
        cast(null as varchar) as variant,
        {{ redact_emails('label') }} as label,
        {{ redact_emails('coalesce(event_value, revenue)') }} as value_text,
        cast(null as varchar) as items,
        'web' as platform,
        -- `lang` is the browser's whole Accept-Language header; its first language is the reader's.
        replace(trim(split_part(split_part({{ redact_emails('language') }}, ',', 1), ';', 1)), '_', '-') as locale,
        cast(null as varchar) as app_version,
        left(event_id, 12) as content_hash,
        {{ salted_hash('ip') }} as ip_hash,

        cast(null as double) as rating,
        cast(null as integer) as chapter,
        {{ integer_from_text('chapters') }} as chapters,
        cast(null as integer) as position,
        cast(null as integer) as item_count,
        cast(null as decimal(18, 4)) as price,

        {{ looks_like_a_bot('user_agent') }} as is_bot,

        coalesce({{ timestamp_from_epoch_s('created_text') }}, {{ timestamp_from_iso('created_text') }}) as occurred_at,
        landed_at,
        loaded_at
    from hashed

)

select * from final
