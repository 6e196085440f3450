-- The unit of a reader is the visitor of the first answer that named an experiment: the device, if it was asked for without an account.
select distinct
    user_id,
    unit_id as unit
from marts.fct_experiment_assignments
where user_id is not null
order by user_id
