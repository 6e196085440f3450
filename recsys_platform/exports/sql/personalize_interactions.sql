select
    user_id,
    book_id,
    last_at,
    last_action,
    weight
from marts.fct_interactions
where weight > 0 and book_id in (select book_id from marts.dim_books)
order by user_id, last_at, book_id
