with ledger as (
    select * from ops.load_ledger
    where object_key like 'engagement_events/%' and {arrival_day} between ? and ?
),

accepted as (
    select
        object_key,
        count(*) as n
    from raw.engagement_events
    where landed_at >= ? and landed_at < ?
    group by 1
),

rejected as (
    select
        object_key,
        count(*) as n
    from raw.rejected_records
    where landed_at >= ? and landed_at < ?
    group by 1
),

counted as (
    select
        coalesce(l.object_key, a.object_key, r.object_key) as object_key,
        l.records,
        coalesce(a.n, 0) as accepted,
        coalesce(r.n, 0) as rejected
    from ledger as l
    full join accepted as a on l.object_key = a.object_key
    full join rejected as r on r.object_key = coalesce(l.object_key, a.object_key)
    where l.records is distinct from coalesce(a.n, 0) + coalesce(r.n, 0)
        or l.accepted is distinct from coalesce(a.n, 0)
)

select * from counted
union
select
    object_key,
    records,
    accepted,
    rejected
from ops.load_ledger
where object_key like 'engagement_events/%' and records <> accepted + rejected
    and object_key not in (select object_key from counted)
order by 1
