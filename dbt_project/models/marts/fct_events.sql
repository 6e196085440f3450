with

events as (

    select * from {{ ref('int_events__distinct') }}

),

sessions as (

    select * from {{ ref('int_event_sessions') }}

),

final as (

    select
        events.event_id,
        sessions.user_id,
        events.anonymous_id,
        sessions.visitor_id,
        sessions.session_id,
        events.book_id,
        events.request_id,
        events.object_key,
        events.record_index,

        events.source,
        events.record_type,
        events.source_event,
        events.event_name,
        events.query,
        events.plan,
        events.currency,
        events.store,
        events.surface,
        events.model,
        events.model_version,
        events.experiment,
        events.variant,
        events.label,
        events.platform,
        events.locale,
        events.app_version,

        sessions.event_number,
        events.rating,
        events.chapter,
        events.chapters,
        events.position,
        events.item_count,
        events.price,

        sessions.is_stitched,

        cast(events.occurred_at as date) as occurred_on,
        events.occurred_at,
        events.arrived_on,
        events.landed_at,
        events.loaded_at
    from events
    inner join sessions on events.event_id = sessions.event_id

)

select * from final
