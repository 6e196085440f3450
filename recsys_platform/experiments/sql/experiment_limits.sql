select percentile_cont({quantile}) within group (order by cast(pre_numerator as double)) as value_limit
from marts.fct_experiment_metrics
where experiment = ?
    and metric = ?
    and is_first_day
    and pre_numerator > 0
