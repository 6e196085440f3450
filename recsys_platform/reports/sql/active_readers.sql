select
    date_day,
    daily_active_readers,
    weekly_active_readers,
    monthly_active_readers,
    stickiness,
    is_complete
from (
    select
        *,
        row_number() over (order by date_day desc) as day_number
    from marts.rpt_active_readers
) as numbered
where day_number <= ?
order by date_day
