-- One row per landing object of events whose rows in the warehouse are not what the load ledger says: a load lost or
-- repeated rows.
-- depends_on: {{ ref('rpt_event_conservation') }}
{{ config(severity='error', meta={'dagster': {'ref': {'name': 'rpt_event_conservation'}}}) }}

with

ledger as (

    select
        object_key,
        sum(records) as records,
        sum(accepted) as accepted,
        sum(rejected) as rejected
    from {{ source('ops', 'load_ledger') }}
    where object_key like 'engagement_events/%'
    group by object_key

),

accepted as (

    select object_key, count(*) as row_count
    from {{ source('raw', 'engagement_events') }}
    group by object_key

),

rejected as (

    select object_key, count(*) as row_count
    from {{ source('raw', 'rejected_records') }}
    where object_key like 'engagement_events/%'
    group by object_key

),

objects as (

    select object_key from ledger
    union
    select object_key from accepted
    union
    select object_key from rejected

),

final as (

    select
        objects.object_key,
        coalesce(ledger.records, 0) as records,
        coalesce(ledger.accepted, 0) as accepted,
        coalesce(ledger.rejected, 0) as rejected,
        coalesce(accepted.row_count, 0) as accepted_rows,
        coalesce(rejected.row_count, 0) as rejected_rows
    from objects
    left join ledger on objects.object_key = ledger.object_key
    left join accepted on objects.object_key = accepted.object_key
    left join rejected on objects.object_key = rejected.object_key

)

select *
from final
where records != accepted + rejected
    or accepted != accepted_rows
    or rejected != rejected_rows
