with

readers as (
    select
        visitor_id,
        variant,
        count(*) over (partition by visitor_id) as variants
    from marts.fct_recommendation_requests
    where surface in ({surfaces})
        and not coalesce(is_bot, false)
        and shown_on between ? and ?
    group by visitor_id, variant
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

-- Finished books tell of a variant only where readers saw no other one.
select
    readers.variant,
    count(*) as shown_to,
    sum(case when readers.variants = 1 then 1 else 0 end) as readers,
    coalesce(sum(case when readers.variants = 1 then finishes.finishes end), 0) as finishes
from readers
left join finishes on readers.visitor_id = finishes.visitor_id
group by readers.variant
