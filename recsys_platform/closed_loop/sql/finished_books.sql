with

readers as (
    select
        visitor_id,
        min(variant) as variant
    from marts.fct_recommendation_requests
    where surface in ({surfaces})
        and not coalesce(is_bot, false)
        and shown_on between ? and ?
    group by visitor_id
    having min(variant) = max(variant)
),

finishes as (
    select
        visitor_id,
        count(*) as finishes
    from marts.fct_events
    where event_name = 'Book Finished'
        and occurred_on between ? and ?
    group by visitor_id
)

select
    readers.variant,
    count(*) as readers,
    coalesce(sum(finishes.finishes), 0) as finishes
from readers
left join finishes on readers.visitor_id = finishes.visitor_id
group by readers.variant
