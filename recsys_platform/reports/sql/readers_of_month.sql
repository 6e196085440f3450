select max(monthly_active_readers) as readers
from marts.rpt_active_readers
where date_day = (
    select max(date_day) from marts.rpt_active_readers
    where date_day >= ?
        and date_day <= ?
)
