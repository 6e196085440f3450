select
    model,
    value,
    k,
    users,
    coalesce(verb, 'liked') as verb,
    coalesce(held_out, '') as held_out
from ops.model_evaluations
where metric = 'ndcg' and segment = 'all'
    and evaluated_at = (select max(newest.evaluated_at) from ops.model_evaluations as newest)
order by value desc
