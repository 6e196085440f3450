select
    variant,
    case
        when is_bot then 'bots'
        when is_staff then 'staff'
        when other_variant_on <= ? then 'two variants'
        else 'counted'
    end as kind,
    model,
    count(*) as readers
from marts.fct_experiment_assignments
where experiment = ?
    and first_shown_on <= ?
group by 1, 2, 3
order by 1, 2, 3
