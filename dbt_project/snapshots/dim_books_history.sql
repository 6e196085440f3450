{% snapshot dim_books_history %}

{{ config(
    schema='marts',
    unique_key='book_id',
    strategy='check',
    check_cols=[
        'title', 'author', 'language', 'categories', 'reading_minutes', 'is_premium', 'is_available', 'published_at',
    ],
    updated_at='snapshot_date',
    hard_deletes='invalidate',
) }}

with

newest as (

    {{ newest_snapshot(ref('stg_attributes__books')) }}

),

final as (

    select
        book_id,

        title,
        author,
        language,
        categories,

        reading_minutes,

        is_premium,
        is_available,

        published_at,
        snapshot_date
    from newest

)

select * from final

{% endsnapshot %}
