select
    p.rank,
    p.book_id,
    b.title,
    b.author,
    cast(null as varchar) as because,
    case when p.segment = 'all' then 'popular' else 'popular in your language' end as reason
from published.popular_books as p left join marts.dim_books as b on p.book_id = b.book_id
where p.segment = ? and p.rank <= ?
order by p.rank
