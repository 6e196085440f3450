select
    object_key || ': ' || reason as what,
    count(*) as pieces
from raw.rejected_records
where (reason like '%gzip%' or reason like 'not JSON text but %')
    and corrected_by is null and landed_at >= ? and landed_at < ?
group by 1
order by 1
