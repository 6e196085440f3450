with

snapshots as (

    select * from {{ ref('stg_attributes__books') }}

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
    from snapshots
    where snapshot_date = (select max(snapshot_date) from snapshots)

)

select * from final
