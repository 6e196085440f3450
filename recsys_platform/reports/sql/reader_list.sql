select
    r.rank,
    r.book_id,
    b.title,
    b.author,
    r.reason,
    coalesce(c.title, r.because_book_id) as because
from published.user_recommendations as r
left join marts.dim_books as b on r.book_id = b.book_id
left join marts.dim_books as c on r.because_book_id = c.book_id
where r.user_id = ? and r.model = ? and r.rank <= ?
order by r.rank
