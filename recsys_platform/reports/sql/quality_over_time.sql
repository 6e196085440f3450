select
    evaluated_at,
    model,
    metric,
    value,
    low,
    high,
    k,
    users,
    coalesce(verb, 'liked') as verb,
    coalesce(held_out, '') as held_out
from (
    select
        *,
        dense_rank() over (order by evaluated_at desc) as evaluation_number
    from ops.model_evaluations
    where metric in ('ndcg', 'coverage')
        and segment = 'all'
) as numbered
where evaluation_number <= ?
order by evaluated_at, model, metric
