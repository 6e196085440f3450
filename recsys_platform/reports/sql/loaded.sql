select
    count(*) as objects,
    cast(coalesce(sum(records), 0) as bigint) as records,
    cast(coalesce(sum(accepted), 0) as bigint) as accepted,
    cast(coalesce(sum(rejected), 0) as bigint) as rejected,
    max(loaded_at) as last_load
from ops.load_ledger
where object_key like 'engagement_events/%'
