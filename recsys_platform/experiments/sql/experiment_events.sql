select
    visitor_id,
    occurred_on as counted_on,
    occurred_at as counted_at,
    1 as x,
    0 as y
from marts.fct_events
where not coalesce(is_bot, false)
    and occurred_on between ? and ?
    and event_name = ?
