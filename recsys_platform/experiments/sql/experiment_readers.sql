with

readers as (
    select
        visitor_id,
        min(variant) as first_variant,
        max(variant) as last_variant
    from marts.fct_recommendation_requests
    where experiment = ?
        and shown_on between ? and ?
        and not coalesce(is_bot, false)
    group by visitor_id
)

select
    case when first_variant = last_variant then first_variant end as variant,
    count(*) as readers
from readers
group by case when first_variant = last_variant then first_variant end
order by variant
