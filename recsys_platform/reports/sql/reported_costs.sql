select
    month_start,
    max(case when kpi = 'cost_to_revenue' then numerator end) as total_cost,
    max(case when kpi = 'data_share_of_it_budget' then numerator end) as data_cost,
    max(case when kpi = 'cost_to_revenue' then reported_by end) as total_cost_reported_by,
    max(case when kpi = 'data_share_of_it_budget' then reported_by end) as data_cost_reported_by
from marts.rpt_kpi_scorecard
where kpi in ('cost_to_revenue', 'data_share_of_it_budget')
    and segmented_by = 'all'
    and numerator is not null
group by month_start
order by month_start desc
