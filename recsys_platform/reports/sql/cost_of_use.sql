with

days as (

    select max(cost_on) as until from marts.rpt_cost_daily

),

costs as (

    select
        daily.segmented_by,
        daily.segment,
        sum(daily.cost) as cost
    from marts.rpt_cost_daily as daily
    inner join days on daily.cost_on > days.until - 30
    where daily.segmented_by in ('all', 'asset')
    group by daily.segmented_by, daily.segment

),

dearest as (

    select
        segment,
        cost
    from costs
    where segmented_by = 'asset'
        and segment != 'not attributed'
    order by cost desc, segment asc
    limit 1

),

readers as (

    select monthly_active_readers
    from marts.rpt_active_readers
    order by date_day desc
    limit 1

)

select
    days.until,
    costs.cost,
    readers.monthly_active_readers as readers,
    dearest.segment as dearest,
    dearest.cost as cost_of_dearest
from costs
cross join days
left join dearest on true
left join readers on true
where costs.segmented_by = 'all'
