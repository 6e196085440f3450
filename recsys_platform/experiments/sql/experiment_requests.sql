select
    visitor_id,
    shown_on as counted_on,
    shown_at as counted_at,
    {numerator} as x,
    {denominator} as y
from marts.fct_recommendation_requests
where not coalesce(is_bot, false)
    and shown_on between ? and ?
    and {on_surfaces}
