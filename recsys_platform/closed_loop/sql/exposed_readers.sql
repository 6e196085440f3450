select
    count(distinct case when experiment = ? and variant = 'canary' then visitor_id end) as exposed,
    count(distinct visitor_id) as readers
from marts.fct_recommendation_requests
where not coalesce(is_bot, false)
    and shown_on between ? and ?
