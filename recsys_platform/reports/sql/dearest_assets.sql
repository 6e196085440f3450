select
    segment as asset,
    cast(sum(cost) as decimal(18, 9)) as cost,
    cast(sum(runs) as bigint) as runs
from marts.rpt_cost_daily
where segmented_by = 'asset'
    and segment != 'not attributed'
    and cost_on >= ?
    and cost_on <= ?
group by segment
order by cost desc, asset asc
limit ?
