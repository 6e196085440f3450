with

shown as (

    select
        {{ week_of('shown_on') }} as week_start,
        'exposures' as counted,
        model,
        book_id,
        count(*) as times
    from {{ ref('fct_exposures') }}
    where not coalesce(is_bot, false)
    group by {{ week_of('shown_on') }}, model, book_id

),

books_by_week as (

    select * from shown

    union all

    select
        week_start,
        counted,
        'all' as model,
        book_id,
        sum(times) as times
    from shown
    group by week_start, counted, book_id

    union all

    select
        {{ week_of('occurred_on') }} as week_start,
        'reads' as counted,
        'all' as model,
        book_id,
        count(*) as times
    from {{ ref('fct_events') }}
    where event_name = 'Book Started'
        and book_id is not null
        and not coalesce(is_bot, false)
    group by {{ week_of('occurred_on') }}, book_id

),

-- The books of the item catalog that were published by the end of a week: a running total, so that a week costs a row.
catalog as (

    select
        week_start,
        sum(sum(books)) over (order by week_start rows between unbounded preceding and current row) as books
    from (
        select
            {{ week_of("coalesce(published_at, cast('1970-01-01' as timestamp))") }} as week_start,
            1 as books
        from {{ ref('dim_books') }}
        where coalesce(is_available, true)
        union all
        select
            week_start,
            0 as books
        from books_by_week
        group by week_start
    ) as published
    group by week_start

),

ranked as (

    select
        *,
        row_number() over (partition by week_start, counted, model order by times desc, book_id asc) as place,
        count(*) over (partition by week_start, counted, model) as books
    from books_by_week

),

-- A book that was shown may have left the item catalog.
offered as (

    select
        ranked.*,
        greatest(catalog.books, ranked.books) as catalog_books
    from ranked
    inner join catalog on ranked.week_start = catalog.week_start

),

summed as (

    select
        week_start,
        counted,
        model,
        max(books) as books,
        max(catalog_books) as catalog_books,
        sum(times) as total,
        sum(place * times) as places,
        sum(case when place <= ceil(catalog_books / 10.0) then times else 0 end) as of_the_top,
        sum(times * (times - 1)) as pairs
    from offered
    group by week_start, counted, model

),

history as (

    select max(arrived_on) as last_day
    from {{ ref('fct_events') }}

),

final as (

    select
        summed.counted,
        summed.model,

        cast(summed.total as bigint) as total,
        cast(summed.books as bigint) as books,
        cast(summed.catalog_books as bigint) as catalog_books,
        round(cast(summed.books as double) / summed.catalog_books, 6) as coverage,
        -- Books without a count are in it too: they have the last places and add nothing to `places`.
        round(
            (summed.catalog_books + 1 - 2 * cast(summed.places as double) / summed.total) / summed.catalog_books, 6
        ) as gini,
        round(cast(summed.of_the_top as double) / summed.total, 6) as top_tenth_share,
        cast(summed.pairs / 2 as bigint) as same_book_pairs,
        round(cast(summed.total as double) * (summed.total - 1) / nullif(summed.pairs, 0), 2) as effective_books,

        {{ dbt.dateadd('day', 7, 'summed.week_start') }} < history.last_day as is_complete,

        summed.week_start
    from summed
    cross join history

)

select * from final
