with

units as (
    {units}
),

ranges as (
    {ranges}
),

readers as (
    select
        visitor_id,
        min(variant) as variant
    from marts.fct_recommendation_requests
    where experiment = ?
        and shown_on between ? and ?
        and not coalesce(is_bot, false)
    group by visitor_id
    having min(variant) = max(variant)
)

select
    readers.variant,
    count(*) as readers
from readers
inner join units on readers.visitor_id = units.visitor_id
inner join ranges
    on readers.variant = ranges.variant
    and units.bucket between ranges.first_bucket and ranges.last_bucket
group by readers.variant
order by readers.variant
