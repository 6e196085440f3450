{{ config(incremental_strategy='delete+insert', unique_key='snapshot_date') }}

with

records as (

    {{ json_fields(
        source('raw', 'book_attributes'),
        keep=['snapshot_date', 'book_id', 'loaded_at'],
        where=newly_loaded(),
        fields={
            'title': 'title',
            'author': 'author',
            'language': 'language',
            'categories': 'categories',
            'reading_minutes': 'reading_minutes',
            'is_premium': 'is_premium',
            'is_available': 'is_available',
            'published_text': 'published_at',
        },
    ) }}

),

-- Words that mean nothing are gone.
given as (

    select
        snapshot_date,
        book_id,
        {{ value_or_null('title', is_title=true) }} as title,
        {{ value_or_null('author') }} as author,
        {{ value_or_null('language') }} as language_text,
        {{ value_or_null('categories') }} as categories_text,
        {{ value_or_null('reading_minutes') }} as minutes_text,
        {{ value_or_null('is_premium') }} as premium_text,
        {{ value_or_null('is_available') }} as available_text,
        {{ value_or_null('published_text') }} as published_text,
        loaded_at
    from records

),

typed as (

    select
        *,
        {{ primary_subtag('language_text') }} as language,
        {{ array_length('categories_text') }} as category_count,
        {{ integer_from_text('minutes_text') }} as reading_minutes,
        {{ boolean_from_text('premium_text') }} as is_premium,
        {{ boolean_from_text('available_text') }} as is_available,
        {{ timestamp_from_date_text('published_text') }} as published_at
    from given

),

final as (

    select
        snapshot_date,
        {{ pseudonym('book_id') }} as book_id,

        {{ redact_emails('title') }} as title,
        {{ redact_emails('author') }} as author,
        language,
        {{ string_array(redact_emails('categories_text')) }} as categories,

        {{ unread('language_text', 'language') }} as unread_language,
        {{ unread('categories_text', 'category_count') }} as unread_categories,
        {{ unread('minutes_text', 'reading_minutes') }} as unread_reading_minutes,
        {{ unread('premium_text', 'is_premium') }} as unread_is_premium,
        {{ unread('available_text', 'is_available') }} as unread_is_available,
        {{ unread('published_text', 'published_at') }} as unread_published_at,

        reading_minutes,

        -- A book is free and on offer unless the item catalog says otherwise.
        coalesce(is_premium, false) as is_premium,
        coalesce(is_available, true) as is_available,

        published_at,
        loaded_at
    from typed

)

select * from final
