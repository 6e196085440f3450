with

readers as (
    select
        visitor_id,
        min(variant) as variant,
        count(distinct variant) as variants
    from marts.fct_recommendation_requests
    where experiment = ?
        and shown_on between ? and ?
        and not coalesce(is_bot, false)
    group by visitor_id
)

select
    case when variants = 1 then variant end as variant,
    count(*) as readers
from readers
group by 1
order by 1
