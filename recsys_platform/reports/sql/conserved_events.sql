select
    cast(coalesce(sum(distinct_events), 0) as bigint) as distinct_events,
    cast(coalesce(sum(duplicates), 0) as bigint) as duplicates,
    cast(coalesce(sum(invalid), 0) as bigint) as invalid
from marts.rpt_event_conservation
