select
    week_start,
    counted,
    total,
    books,
    coverage,
    top_tenth_share,
    effective_books,
    is_complete
from (
    select
        *,
        dense_rank() over (order by week_start desc) as week_number
    from marts.rpt_catalog_coverage
    where model = 'all'
) as numbered
where week_number <= ?
order by week_start, counted
