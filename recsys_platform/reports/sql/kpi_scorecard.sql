select
    kpi,
    segmented_by,
    segment,
    label,
    unit,
    status,
    definition,
    source,
    reported_by,
    as_of,
    numerator,
    denominator,
    value,
    value_a_year_before,
    target_min,
    target_max,
    is_on_target,
    is_complete,
    month_start
from (
    select
        *,
        dense_rank() over (order by month_start desc) as month_number
    from marts.rpt_kpi_scorecard
) as numbered
where month_number <= ?
order by kpi, segmented_by, segment, month_start
