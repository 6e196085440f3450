select
    loaded_at,
    cast(sum(records) as bigint) as records
from ops.load_ledger
group by loaded_at
