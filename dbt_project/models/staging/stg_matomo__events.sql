with

records as (

    {{ json_fields(
        source('raw', 'engagement_events'),
        keep=['object_key', 'record_index', 'landed_at', 'loaded_at'],
        where="source = 'matomo' and " ~ newly_loaded(),
        fields={
            'given_user_id': 'uid',
            'visitor_key': ['_id', 'cid'],
            'random_key': 'rand',
            'image_key': 'r',
            'page_view': 'pv_id',
            'created_text': 'cdt',
            'created_ago': 'cdo',
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
            'order_key': 'ec_id',
            'order_items': 'ec_items',
            'content_name': 'c_n',
            'content_piece': 'c_p',
            'content_target': 'c_t',
            'content_interaction': 'c_i',
            'media': 'ma_id',
            'media_title': 'ma_ti',
            'media_seconds': ['ma_st', 'ma_ps'],
            'form': ['fa_vid', 'fa_id'],
            'form_name': 'fa_name',
            'crash': 'cra',
            'custom_action': 'ca',
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
            -- Goal 0 is the shop: with a number it is an order, else what is in the cart.
            when goal = '0' and order_key is not null then 'Ecommerce Order'
            when goal = '0' then 'Cart Update'
            when goal is not null then 'Goal ' || goal
            when download is not null then 'Download'
            when link is not null then 'Outlink'
            when content_name is not null and content_interaction is not null then 'Content Interaction'
            when content_name is not null then 'Content Impression'
            when media is not null then 'Media'
            when form is not null then 'Form'
            when crash is not null then 'Crash'
            when ping is not null then 'Ping'
            when custom_action not in ('0', 'false') then 'Custom Action'
            else 'Page View'
        end as action_kind,
        {{ joined([
            'random_key', 'image_key', 'page_view', 'created_text', 'created_ago', 'url', 'action_name',
            'category', 'action', 'event_label', 'event_value', 'query', 'search_category',
            'goal', 'revenue', 'order_key', 'order_items', 'download', 'link', 'ping',
            'content_name', 'content_piece', 'content_target', 'content_interaction', 'media', 'media_title', 'media_seconds',
            'form', 'form_name', 'crash', 'custom_action', 'chapters', 'plan', 'currency', 'store',
        ]) }} as content
    from records

),

hashed as (

    select
        *,
        {{ hashed_content('content', ids=['visitor_key', 'given_user_id']) }} as event_id,
        coalesce({{ timestamp_from_epoch_s('created_text') }}, {{ timestamp_from_iso('created_text') }}) as created_at,
        {{ tracked_id('given_user_id') }} as user_id,
        {{ tracked_id('visitor_key') }} as visitor_id,
        -- The title of the page stands in for no other label: not for a book that is missing.
        case action_kind
            when 'Page View' then action_name
            when 'Site Search' then search_category
            when 'Download' then download
            when 'Outlink' then link
            when 'Content Impression' then content_name
            when 'Content Interaction' then content_name
            when 'Media' then media_title
            when 'Form' then form_name
            when 'Crash' then crash
            when 'Ecommerce Order' then order_key
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
        {{ pseudonym('visitor_id') }} as anonymous_id,
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
        cast(null as varchar) as answer_source,
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

        {{ seconds_before('created_at', 'created_ago') }} as occurred_at,
        landed_at,
        loaded_at
    from hashed

)

select * from final
