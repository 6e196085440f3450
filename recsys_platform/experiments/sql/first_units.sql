-- The unit of a visitor is that of the first answer that named an experiment: the device, if it was asked for without an account.
select
    answers.visitor_id,
    {bucket} as bucket
from (
    select
        visitor_id,
        min_by(case when is_stitched then anonymous_id else visitor_id end, occurred_at) as unit
    from marts.fct_events
    where event_name = 'Recommendations Viewed'
        and experiment != 'none'
        and visitor_id is not null
        and occurred_on <= ?
    group by visitor_id
) as answers
