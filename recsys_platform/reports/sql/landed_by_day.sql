select
    cast(loaded_at as date) as day,
    cast(sum(size_bytes) as bigint) as bytes,
    count(*) as objects
from ops.load_ledger
group by cast(loaded_at as date)
