{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['assignment_id', 'occurred_on'],
    pre_hook="{{ forget_builds(readers_of_the_journal()) }}",
) }}

-- depends_on: {{ ref('int_event_deliveries') }}

{% set silence = var('session_silence_minutes') -%}
{% set device = 'anonymous_id, case when anonymous_id is null then event_id end' -%}
{#- Not a CTE: read more than once, it would be kept in memory whole. -#}
{%- set standing -%}
(
        select * from {{ this }}
        where is_current
    )
{%- endset %}
{% do requires_selected(readers_of_the_journal()) %}
{#- Rare, and costly to look for in all columns: so first, whether there is any. -#}
{%- set has_new_aliases = is_incremental() and execute and run_query(
    "select 1 from " ~ standing ~ " as standing left join " ~ ref('int_user_aliases') ~ " as aliases"
    ~ " on standing.tracked_user_id = aliases.previous_id"
    ~ " where standing.signed_in_as != coalesce(aliases.user_id, standing.tracked_user_id) limit 1"
).rows | length > 0 %}

with

aliases as (

    select * from {{ ref('int_user_aliases') }}

),

arrived as (

    select
        events.event_id,
        events.user_id as tracked_user_id,
        coalesce(aliases.user_id, events.user_id) as signed_in_as,
        -- An alias of a device's id is a sign-in on that device.
        coalesce(events.previous_id, events.anonymous_id) as anonymous_id,
        events.book_id,
        events.event_name = 'User Signed Out' as is_sign_out,
        events.occurred_at
    from {{ ref('int_events__distinct') }} as events
    left join aliases on events.user_id = aliases.previous_id
    where {{ arrived_since('events.loaded_at') }}

),

{% if is_incremental() -%}
{% if has_new_aliases -%}
realiased as (  -- noqa: ST03

    select
        standing.event_id,
        standing.tracked_user_id,
        coalesce(aliases.user_id, standing.tracked_user_id) as signed_in_as,
        standing.anonymous_id,
        standing.book_id,
        standing.is_sign_out,
        standing.occurred_at,
        standing.anonymous_id as old_anonymous_id,
        standing.user_id as old_user_id,
        standing.visitor_id as old_visitor_id,
        standing.session_id as old_session_id,
        standing.session_started_on as old_session_started_on,
        standing.book_id as old_book_id,
        standing.event_number as old_event_number,
        standing.occurred_at as old_occurred_at
    from {{ standing }} as standing
    left join aliases on standing.tracked_user_id = aliases.previous_id
    left join arrived on standing.event_id = arrived.event_id
    where standing.signed_in_as != coalesce(aliases.user_id, standing.tracked_user_id)
        and arrived.event_id is null

),
{%- endif %}

-- How events stood that arrived earlier than was known; and those of a build that did not come to its end.
superseded as (

    select standing.*
    from {{ standing }} as standing
    where
        standing.event_id in (
            select event_id
            from {{ ref('int_event_deliveries') }}
            where is_superseding
                and loaded_at > {{ built_to() }}
        )

    -- Not `union all`: what such a build superseded is both.
    union  -- noqa: AM02

    select standing.*
    from {{ standing }} as standing
    inner join arrived on standing.event_id = arrived.event_id
    where standing.changed_to > {{ built_to() }}

),

-- Events that are new, or not what they were: delivered earlier than was known, or by a reader with another id now.
changed as (

    select
        arrived.*,
        superseded.anonymous_id as old_anonymous_id,
        superseded.user_id as old_user_id,
        superseded.visitor_id as old_visitor_id,
        superseded.session_id as old_session_id,
        superseded.session_started_on as old_session_started_on,
        superseded.book_id as old_book_id,
        superseded.event_number as old_event_number,
        superseded.occurred_at as old_occurred_at
    from arrived
    left join superseded on arrived.event_id = superseded.event_id

    {%- if has_new_aliases %}

    union all

    select * from realiased
    {%- endif %}

),

-- Who an anonymous event belongs to depends on the sign-ins next to it: a change reaches as far as those.
changed_devices as (

    select
        anonymous_id,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from (
        select
            anonymous_id,
            occurred_at
        from changed
        union all
        select
            old_anonymous_id,
            old_occurred_at
        from changed
    ) as versions
    where anonymous_id is not null
    group by anonymous_id

),

markers as (

    select
        changed_devices.anonymous_id,
        max(
            case
                when standing.occurred_at < changed_devices.first_at
                    and (standing.signed_in_as is not null or standing.is_sign_out) then standing.occurred_at
            end
        ) as from_at,
        min(
            case
                when standing.occurred_at > changed_devices.last_at
                    and (standing.signed_in_as is not null or standing.is_sign_out) then standing.occurred_at
            end
        ) as to_at
    from changed_devices
    inner join {{ standing }} as standing on changed_devices.anonymous_id = standing.anonymous_id
    group by changed_devices.anonymous_id

),

-- One row a device, which a planner sees: it must not take this for larger than the history that is joined to it.
reach as (

    select
        changed_devices.anonymous_id,
        markers.from_at,
        markers.to_at
    from changed_devices
    left join markers on changed_devices.anonymous_id = markers.anonymous_id

),

-- Of events that stand only what tells whose they are: it is read from all of history.
to_stitch as (

    select
        changed.event_id,
        changed.signed_in_as,
        changed.anonymous_id,
        changed.is_sign_out,
        changed.occurred_at,
        cast(null as varchar) as old_user_id,
        true as is_changed,
        reach.from_at,
        reach.to_at
    from changed
    left join reach on changed.anonymous_id = reach.anonymous_id

    union all

    select
        standing.event_id,
        standing.signed_in_as,
        standing.anonymous_id,
        standing.is_sign_out,
        standing.occurred_at,
        standing.user_id as old_user_id,
        false as is_changed,
        reach.from_at,
        reach.to_at
    from {{ standing }} as standing
    inner join reach
        on standing.anonymous_id = reach.anonymous_id
        and standing.occurred_at >= coalesce(reach.from_at, standing.occurred_at)
        and standing.occurred_at <= coalesce(reach.to_at, standing.occurred_at)
    left join changed on standing.event_id = changed.event_id
    where changed.event_id is null

),
{%- else -%}
to_stitch as (

    select *
    from arrived

),
{%- endif %}

-- An event without a device has no neighbours: it is alone in its window.
neighbours as (

    select
        *,
        {{ last_known("case when is_sign_out then '' else signed_in_as end", device, 'occurred_at, event_id') }}
            as last_signed_in,
        {{ next_known("case when is_sign_out then coalesce(signed_in_as, '') else signed_in_as end", device, 'occurred_at, event_id') }}
            as next_signed_in
    from to_stitch

),

-- An anonymous event is of the one who signs in next, as long as nobody is signed in before it; of the one who is, if
-- the next is the same or nobody; and of neither between two people, where nobody can tell.
stitched as (

    select
        *,
        case
            when signed_in_as is not null then signed_in_as
            when is_sign_out then nullif(last_signed_in, '')
            when coalesce(last_signed_in, '') = '' then nullif(next_signed_in, '')
            when coalesce(nullif(next_signed_in, ''), last_signed_in) = last_signed_in then last_signed_in
        end as user_id
    from neighbours

),

visited as (

    select
        *,
        coalesce(user_id, anonymous_id) as visitor_id
    from stitched

),

{% if is_incremental() -%}
-- At the edge of the reach an event whose neighbour lies outside keeps the reader it has.
moved as (

    select
        event_id,
        user_id,
        visitor_id,
        coalesce(old_user_id, anonymous_id) as old_visitor_id,
        occurred_at
    from visited
    where not is_changed
        and user_id is distinct from old_user_id
        and (from_at is null or last_signed_in is not null)
        -- A sign-out is of the one signed in before it, whoever comes next.
        and (to_at is null or next_signed_in is not null or is_sign_out)

),

-- Sessions change only where an event came or went, and only as far as the sessions that touch it.
changed_visitors as (

    select
        visitor_id,
        {{ dbt.dateadd('minute', -silence, 'min(occurred_at)') }} as from_at,
        {{ dbt.dateadd('minute', silence, 'max(occurred_at)') }} as to_at
    from (
        select
            visitor_id,
            occurred_at
        from visited
        where is_changed
        union all
        select
            old_visitor_id,
            old_occurred_at
        from changed
        union all
        select
            visitor_id,
            occurred_at
        from moved
        union all
        select
            old_visitor_id,
            occurred_at
        from moved
    ) as places
    where visitor_id is not null
    group by visitor_id

),

-- The day too: joined by it, the days before the oldest are not read.
touched_sessions as (

    select distinct
        standing.session_id,
        standing.session_started_on
    from {{ standing }} as standing
    inner join changed_visitors
        on standing.visitor_id = changed_visitors.visitor_id
        and standing.occurred_at between changed_visitors.from_at and changed_visitors.to_at

),

-- Events that moved are in one of these: the session they leave.
to_sessionize as (

    select
        changed.*,
        visited.user_id,
        visited.visitor_id,
        true as is_changed
    from changed
    inner join visited on changed.event_id = visited.event_id

    union all

    select
        standing.event_id,
        standing.tracked_user_id,
        standing.signed_in_as,
        standing.anonymous_id,
        standing.book_id,
        standing.is_sign_out,
        standing.occurred_at,
        standing.anonymous_id as old_anonymous_id,
        standing.user_id as old_user_id,
        standing.visitor_id as old_visitor_id,
        standing.session_id as old_session_id,
        standing.session_started_on as old_session_started_on,
        standing.book_id as old_book_id,
        standing.event_number as old_event_number,
        standing.occurred_at as old_occurred_at,
        case when moved.event_id is null then standing.user_id else moved.user_id end as user_id,
        coalesce(moved.visitor_id, standing.visitor_id) as visitor_id,
        false as is_changed
    from {{ standing }} as standing
    inner join touched_sessions
        on standing.session_id = touched_sessions.session_id
        and standing.session_started_on = touched_sessions.session_started_on
    left join moved on standing.event_id = moved.event_id
    left join changed on standing.event_id = changed.event_id
    where changed.event_id is null

),
{%- else -%}
to_sessionize as (

    select *
    from visited

),
{%- endif %}

ordered as (

    select
        *,
        lag(occurred_at) over (partition by visitor_id order by occurred_at, event_id) as previous_at
    from to_sessionize

),

-- The start of the newest session so far is the start of the one an event belongs to.
started as (

    select
        *,
        max(
            case
                when previous_at is null then occurred_at
                when occurred_at >= {{ dbt.dateadd('minute', silence, 'previous_at') }} then occurred_at
            end
        ) over (
            partition by visitor_id
            order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as session_started_at
    from ordered

),

sessions as (

    select
        *,
        {{ hashed_key(['visitor_id', microseconds_of('session_started_at')]) }} as session_id,
        row_number() over (
            partition by visitor_id, session_started_at
            order by occurred_at, event_id
        ) as event_number
    from started

),

assigned as (

    select
        {{ hashed_key(['event_id', 'user_id', 'session_id', 'book_id', 'cast(occurred_at as date)']) }} as assignment_id,
        event_id,
        tracked_user_id,
        signed_in_as,
        anonymous_id,
        book_id,
        user_id,
        visitor_id,
        session_id,
        cast(session_started_at as date) as session_started_on,
        event_number,
        is_sign_out,
        tracked_user_id is null and user_id is not null as is_stitched,
        true as is_current,
        cast(occurred_at as date) as occurred_on,
        occurred_at
    from sessions
    {%- if is_incremental() %}
    where is_changed
        or session_id is distinct from old_session_id
        or user_id is distinct from old_user_id
        or event_number is distinct from old_event_number
    {%- endif %}

),

{% if is_incremental() -%}
-- What is no longer so is kept: tables made of it know by it which of their rows to make again.
retired as (

    select
        {{ hashed_key([
            'event_id', 'old_user_id', 'old_session_id', 'old_book_id', 'cast(old_occurred_at as date)',
        ]) }} as assignment_id,
        event_id,
        cast(null as varchar) as tracked_user_id,
        cast(null as varchar) as signed_in_as,
        cast(null as varchar) as anonymous_id,
        old_book_id as book_id,
        old_user_id as user_id,
        old_visitor_id as visitor_id,
        old_session_id as session_id,
        old_session_started_on as session_started_on,
        cast(null as bigint) as event_number,
        false as is_sign_out,
        false as is_stitched,
        false as is_current,
        cast(old_occurred_at as date) as occurred_on,
        old_occurred_at as occurred_at
    from sessions
    where old_session_id is not null

),
{%- endif %}

final as (

    select
        *,
        {{ built_to('int_event_deliveries') }} as changed_to
    from assigned

    {%- if is_incremental() %}

    union all

    select
        retired.*,
        {{ built_to('int_event_deliveries') }} as changed_to
    from retired
    left join assigned on retired.assignment_id = assigned.assignment_id  -- noqa: AL04
    where assigned.assignment_id is null
        and retired.event_id in (select event_id from assigned)
    {%- endif %}

)

select * from final
-- In order of time, so that later builds read the last days only.
order by occurred_on
