select
    count(*) as books,
    coalesce(sum(case when is_finished then 1 else 0 end), 0) as finished
from marts.fct_interactions
where user_id = ?
