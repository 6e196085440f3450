select count(*) as n
from information_schema.tables
where lower(table_schema) = 'marts' and lower(table_name) = 'rpt_kpi_scorecard'
