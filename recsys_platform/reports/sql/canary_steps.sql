-- After the last step the new model is in production: a complete canary itself takes no visitors.
select
    experiment,
    label,
    case when status = 'complete' then 100 else percent end as percent,
    status,
    reason,
    changed_by,
    changed_at
from (
    select
        *,
        row_number() over (order by changed_at desc, step_id desc) as step_number
    from ops.canary_steps
) as numbered
where step_number <= ?
order by step_number desc
