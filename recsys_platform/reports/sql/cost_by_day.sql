select
    cost_on,
    segment as resource,
    cost
from marts.rpt_cost_daily
where segmented_by = 'resource'
    and cost_on >= ?
    and cost_on <= ?
order by cost_on, segment
