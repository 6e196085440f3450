select
    assignments.visitor_id,
    {bucket} as bucket
from marts.fct_experiment_assignments as assignments
where assignments.experiment = ?
