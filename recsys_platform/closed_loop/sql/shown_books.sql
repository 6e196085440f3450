select
    shown_on,
    variant,
    book_id,
    count(*) as showings,
    sum(case when is_clicked then 1 else 0 end) as clicks
from marts.fct_exposures
where surface in ({surfaces})
    and not coalesce(is_bot, false)
    and shown_on between ? and ?
group by shown_on, variant, book_id
