with

queries as (

    select
        cast(start_time as timestamp_ntz) as started_at,
        credits_attributed_compute as credits
    from snowflake.account_usage.query_attribution_history
    where query_tag in ('recsys', 'recsys_dbt')
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

attributed as (

    select
        assets.run_id,
        assets.job,
        assets.step,
        assets.asset,
        assets.is_rebuild,
        cast(queries.started_at as date) as used_on,
        assets.started_at,
        assets.ended_at,
        sum(queries.credits * assets.share) as quantity
    from queries
    inner join assets
        on queries.started_at >= assets.started_at
        and queries.started_at < assets.ended_at
    group by
        assets.run_id,
        assets.job,
        assets.step,
        assets.asset,
        assets.is_rebuild,
        cast(queries.started_at as date),
        assets.started_at,
        assets.ended_at

),

metered as (

    select
        cast(cast(start_time as timestamp_ntz) as date) as used_on,
        sum(credits_used) as credits
    from snowflake.account_usage.warehouse_metering_history
    where warehouse_name in (?, ?, ?)
        and start_time >= ?
    group by cast(cast(start_time as timestamp_ntz) as date)

),

-- An idle warehouse, queries of people, and what no step ran.
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
where quantity > 0
