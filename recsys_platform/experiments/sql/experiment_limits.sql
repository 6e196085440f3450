select min(value) as value_limit
from (
    select
        cast(pre_numerator as double) as value,
        cume_dist() over (order by pre_numerator) as share_below
    from marts.fct_experiment_metrics
    where experiment = ?
        and metric = ?
        and is_first_day
        and pre_numerator > 0
) as pre_values
where share_below >= {quantile}
