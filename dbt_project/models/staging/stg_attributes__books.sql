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

final as (

    select
        snapshot_date,
        {{ pseudonym('book_id') }} as book_id,

        {{ redact_emails('title') }} as title,
        {{ redact_emails('author') }} as author,
        lower({{ redact_emails('language') }}) as language,
        {{ string_array(redact_emails('categories')) }} as categories,

        {{ integer_from_text('reading_minutes') }} as reading_minutes,

        -- A book is free and on offer unless the catalogue says otherwise.
        coalesce({{ boolean_from_text('is_premium') }}, false) as is_premium,
        coalesce({{ boolean_from_text('is_available') }}, true) as is_available,

        {{ timestamp_from_iso('published_text') }} as published_at,
        loaded_at
    from records

)

select * from final
