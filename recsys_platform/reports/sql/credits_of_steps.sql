-- A query belongs to one step, also while several run: dbt's to the step of dbt, any other to the step of ours that began last.
with

queries as (

    select
        query_id,
        query_tag = 'recsys_dbt' as is_of_dbt,
        cast(start_time as timestamp_ntz) as started_at,
        credits_attributed_compute as credits
    from snowflake.account_usage.query_attribution_history
    where query_tag in ('recsys', 'recsys_dbt')
        and warehouse_name in (?, ?, ?)
        and start_time >= ?

),

assets as (

    select
        run_id,
        job,
        step,
        asset,
        is_rebuild,
        started_at,
        ended_at,
        quantity / nullif(sum(quantity) over (partition by run_id, step, started_at), 0) as share
    from ops.cost_of_runs
    where resource = 'seconds'
        and step is not null
        and used_on >= ?

),

steps as (

    select distinct
        run_id,
        step,
        started_at,
        ended_at
    from assets

),

candidates as (

    select
        queries.query_id,
        queries.credits,
        queries.started_at as queried_at,
        steps.run_id,
        steps.step,
        steps.started_at,
        row_number() over (
            partition by queries.query_id order by steps.started_at desc, steps.run_id asc, steps.step asc
        ) as choice
    from queries
    inner join steps
        on queries.started_at >= steps.started_at
        and queries.started_at < steps.ended_at
        and queries.is_of_dbt = (steps.step = 'dbt_models')

),

attributed as (

    select
        assets.run_id,
        assets.job,
        assets.step,
        assets.asset,
        assets.is_rebuild,
        cast(candidates.queried_at as date) as used_on,
        assets.started_at,
        assets.ended_at,
        sum(candidates.credits * assets.share) as quantity
    from candidates
    inner join assets
        on candidates.run_id = assets.run_id
        and candidates.step = assets.step
        and candidates.started_at = assets.started_at
    where candidates.choice = 1
    group by
        assets.run_id,
        assets.job,
        assets.step,
        assets.asset,
        assets.is_rebuild,
        cast(candidates.queried_at as date),
        assets.started_at,
        assets.ended_at

),

metered as (

    select
        cast(cast(start_time as timestamp_ntz) as date) as used_on,
        sum(credits_used_compute) as credits
    from snowflake.account_usage.warehouse_metering_history
    where warehouse_name in (?, ?, ?)
        and start_time >= ?
    group by cast(cast(start_time as timestamp_ntz) as date)

),

-- An idle warehouse, queries of people, and what no step ran. Below 0 on a day whose last query went on after midnight: it is
-- metered on both days and attributed to the one on which it began.
others as (

    select
        metered.used_on,
        metered.credits - coalesce(sum(attributed.quantity), 0) as quantity
    from metered
    left join attributed on metered.used_on = attributed.used_on
    group by metered.used_on, metered.credits

)

select
    run_id,
    job,
    step,
    asset,
    is_rebuild,
    'snowflake_credit' as resource,
    cast(quantity as double) as quantity,
    used_on,
    started_at,
    ended_at
from attributed
union all
select
    null as run_id,
    null as job,
    null as step,
    null as asset,
    false as is_rebuild,
    'snowflake_credit' as resource,
    cast(quantity as double) as quantity,
    used_on,
    null as started_at,
    null as ended_at
from others
where round(quantity, 9) != 0
