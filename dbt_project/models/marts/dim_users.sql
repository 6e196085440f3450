with

attributes as (

    {{ newest_snapshot(ref('stg_attributes__users')) }}

),

visitor_days as (

    select * from {{ ref('int_visitor_days') }}

),

activity as (

    select
        user_id,
        sum(events) as events,
        min(first_at) as first_seen_at,
        max(last_at) as last_seen_at
    from visitor_days
    where user_id is not null
    group by user_id

),

final as (

    select
        coalesce(attributes.user_id, activity.user_id) as user_id,

        attributes.country,
        attributes.language,
        attributes.tier,
        coalesce(attributes.interests, {{ string_array('null') }}) as interests,
        attributes.email_hash,

        cast(coalesce(activity.events, 0) as bigint) as events,

        attributes.user_id is not null as is_in_attributes,

        attributes.created_at,
        activity.first_seen_at,
        activity.last_seen_at,
        attributes.snapshot_date
    from attributes
    full outer join activity on attributes.user_id = activity.user_id

)

select * from final
