{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['experiment', 'visitor_id'],
    pre_hook="{{ drop_changed(['visitor_id']) }}",
) }}

-- depends_on: {{ ref('int_event_sessions') }}

with

{% if is_incremental() -%}
changed as (

    select distinct visitor_id
    from {{ ref('int_event_sessions') }}
    where changed_to > {{ built_to() }}

),
{%- endif %}

staff as (

    select user_id from {{ ref('staff_readers') }}

),

requests as (

    select
        requests.*,
        coalesce(requests.is_bot, false) as is_by_bot,
        staff.user_id is not null as is_by_staff
    from {{ ref('fct_recommendation_requests') }} as requests
    {% if is_incremental() %}
    inner join changed on requests.visitor_id = changed.visitor_id
    {%- endif %}
    left join staff on requests.user_id = staff.user_id
    where requests.experiment != '{{ var('no_experiment') }}'

),

-- What bots ask comes last: it counts for visitors who are nothing but bots.
numbered as (

    select
        *,
        row_number() over (
            partition by experiment, visitor_id
            order by is_by_bot, shown_at, request_id
        ) as answer_number,
        first_value(unit_id) over (partition by visitor_id order by shown_at, event_id) as first_unit_id
    from requests

),

firsts as (

    select *
    from numbered
    where answer_number = 1

),

seen as (

    select
        requests.experiment,
        requests.visitor_id,
        count(*) as requests,
        count(distinct requests.variant) as variants,
        max(case when requests.is_by_staff then 1 else 0 end) = 1 as is_staff,
        min(case when requests.variant != firsts.variant then requests.shown_on end) as other_variant_on
    from requests
    inner join firsts
        on requests.experiment = firsts.experiment
        and requests.visitor_id = firsts.visitor_id
        and requests.is_by_bot = firsts.is_by_bot
    group by requests.experiment, requests.visitor_id

),

platforms as (

    select
        firsts.experiment,
        firsts.visitor_id,
        sessions.platform
    from firsts
    inner join {{ ref('fct_sessions') }} as sessions on firsts.session_id = sessions.session_id

),

seen_before as (

    select distinct
        firsts.experiment,
        firsts.visitor_id
    from firsts
    inner join {{ ref('int_visitor_days') }} as days
        on firsts.visitor_id = days.visitor_id
        and firsts.shown_on > days.occurred_on
    where days.events > 0

),

final as (

    select
        firsts.experiment,
        firsts.visitor_id,
        firsts.user_id,
        firsts.first_unit_id as unit_id,
        firsts.request_id,

        firsts.variant,
        firsts.surface,
        firsts.model,
        firsts.model_version,
        platforms.platform,

        cast(seen.requests as bigint) as requests,
        cast(seen.variants as bigint) as variants,

        firsts.is_by_bot as is_bot,
        seen.is_staff,
        seen_before.visitor_id is not null as is_returning,

        firsts.shown_on as first_shown_on,
        firsts.shown_at as first_shown_at,
        seen.other_variant_on
    from firsts
    inner join seen
        on firsts.experiment = seen.experiment
        and firsts.visitor_id = seen.visitor_id
    left join platforms
        on firsts.experiment = platforms.experiment
        and firsts.visitor_id = platforms.visitor_id
    left join seen_before
        on firsts.experiment = seen_before.experiment
        and firsts.visitor_id = seen_before.visitor_id

)

select * from final
