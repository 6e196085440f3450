select
    counted,
    model,
    total,
    books,
    catalog_books,
    coverage,
    gini,
    top_tenth_share,
    same_book_pairs,
    effective_books,
    is_complete,
    week_start
from marts.rpt_catalog_coverage
order by counted, model, week_start
