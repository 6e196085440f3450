with

units as (
    {units}
),

ranges as (
    {ranges}
),

answers as (
    select
        requests.variant,
        requests.shown_at,
        units.bucket
    from marts.fct_recommendation_requests as requests
    inner join units on requests.visitor_id = units.visitor_id
    where requests.experiment = ?
        and requests.shown_on between ? and ?
        and not coalesce(requests.is_bot, false)
)

select
    count(*) as answers,
    count(*) - count(ranges.variant) as contradicting
from answers
left join ranges
    on answers.variant = ranges.variant
    and answers.bucket between ranges.first_bucket and ranges.last_bucket
    and answers.shown_at >= ranges.valid_from
    and answers.shown_at < ranges.valid_to
