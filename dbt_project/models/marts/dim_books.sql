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
