-- The unit of a reader is the visitor of the first answer that named an experiment: the device, if it was asked for without an account.
select
    user_id,
    unit
from (
    select
        user_id,
        case when is_stitched then anonymous_id else user_id end as unit,
        row_number() over (partition by user_id order by occurred_at, event_id) as answer_number
    from marts.fct_events
    where event_name = 'Recommendations Viewed'
        and experiment != 'none'
        and user_id is not null
) as answers
where answer_number = 1
order by user_id
