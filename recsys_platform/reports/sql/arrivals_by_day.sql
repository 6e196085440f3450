select
    arrived_on,
    accepted
from (
    select
        arrived_on,
        sum(accepted) as accepted,
        row_number() over (order by arrived_on desc) as day_number
    from marts.rpt_event_conservation
    group by arrived_on
) as numbered
where day_number <= ?
order by arrived_on
