-- The newest 200 runs of each step.
with

costs as (

    select
        run_id,
        step,
        started_at,
        stage,
        is_rebuild,
        sum(cost) as cost
    from marts.fct_costs
    where step != 'not attributed'
    group by run_id, step, started_at, stage, is_rebuild

),

seconds as (

    select
        run_id,
        step,
        started_at,
        sum(quantity) as seconds
    from ops.cost_of_runs
    where resource = 'seconds'
        and step is not null
    group by run_id, step, started_at

),

steps as (

    select
        costs.step,
        costs.stage,
        costs.is_rebuild,
        costs.started_at,
        cast(costs.cost as double) as cost,
        seconds.seconds,
        row_number() over (partition by costs.step, costs.stage order by costs.started_at desc) as age
    from costs
    inner join seconds
        on costs.run_id = seconds.run_id
        and costs.step = seconds.step
        and costs.started_at = seconds.started_at

)

select
    step,
    stage,
    is_rebuild,
    started_at,
    cost,
    seconds
from steps
where age <= 200
