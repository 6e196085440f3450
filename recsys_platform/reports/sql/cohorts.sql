select
    cohort_week,
    period,
    period_number,
    readers,
    retention,
    is_left_censored,
    is_complete
from (
    select
        *,
        dense_rank() over (order by cohort_week desc) as week_number
    from marts.rpt_retention_cohorts
    where segmented_by = 'all'
) as numbered
where week_number <= ?
order by cohort_week desc, period asc, period_number asc
