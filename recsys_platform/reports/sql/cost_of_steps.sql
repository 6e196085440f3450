-- The newest 200 runs of each step, its longest one, and all rebuilds. The run before is that of all runs, kept or not.
with

runs as (

    select
        run_id,
        step,
        started_at,
        is_rebuild,
        sum(quantity) as seconds
    from ops.cost_of_runs
    where resource = 'seconds'
        and run_id is not null
        and step is not null
    group by run_id, step, started_at, is_rebuild

),

ranked as (

    select
        *,
        min(started_at) over () as measured_since,
        lag(started_at) over (partition by step order by started_at) as previous_at,
        row_number() over (partition by step order by started_at desc) as age,
        row_number() over (partition by step order by seconds desc, started_at asc) as rank_by_seconds
    from runs

),

chosen as (

    select * from ranked
    where age <= 200
        or rank_by_seconds = 1
        or is_rebuild

),

costs as (

    select
        run_id,
        step,
        started_at,
        stage,
        sum(cost) as cost
    from marts.fct_costs
    where step != 'not attributed'
    group by run_id, step, started_at, stage

)

select
    chosen.step,
    costs.stage,
    chosen.is_rebuild,
    chosen.started_at,
    chosen.previous_at,
    chosen.measured_since,
    cast(costs.cost as double) as cost,
    chosen.seconds
from chosen
inner join costs
    on chosen.run_id = costs.run_id
    and chosen.step = costs.step
    and chosen.started_at = costs.started_at
