with met as (
    select
        book_id,
        min(first_at) as first_at
    from marts.fct_interactions
    group by book_id
)

select
    books.book_id,
    books.categories,
    books.language,
    books.author,
    books.reading_minutes,
    books.is_premium,
    books.is_available,
    coalesce(books.published_at, met.first_at, (select max(last_at) from marts.fct_interactions)) as created_at
from marts.dim_books as books
left join met
    on books.book_id = met.book_id
order by books.book_id
