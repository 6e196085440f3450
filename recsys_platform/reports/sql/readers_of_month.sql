with

days as (

    select max(date_day) as until
    from marts.rpt_active_readers
    where date_day >= ?
        and date_day <= ?

)

select max(readers.monthly_active_readers) as readers
from marts.rpt_active_readers as readers
inner join days on readers.date_day = days.until
