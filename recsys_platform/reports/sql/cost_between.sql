select sum(cost) as cost
from marts.rpt_cost_daily
where segmented_by = 'all'
    and cost_on >= ?
    and cost_on <= ?
