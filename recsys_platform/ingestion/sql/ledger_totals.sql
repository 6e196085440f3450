select
    count(*) as objects,
    cast(coalesce(sum(records), 0) as bigint) as records,
    cast(coalesce(sum(accepted), 0) as bigint) as accepted,
    cast(coalesce(sum(rejected), 0) as bigint) as rejected
from ops.load_ledger
where object_key like 'engagement_events/%' and {arrival_day} between ? and ?
