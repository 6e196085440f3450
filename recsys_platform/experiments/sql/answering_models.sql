select
    variant,
    model,
    model_version,
    count(*) as answers
from marts.fct_recommendation_requests
where experiment = ?
    and shown_on between ? and ?
    and answer_source = 'live'
    and not coalesce(is_bot, false)
group by 1, 2, 3
order by 1, 2, 3
