{#
    A query of the recommendation events with a row for each item (`item_book_id`, `item_number`, `item_position`,
    `propensity`, `draw_id`, `answer_source`), from the first delivery of each event. An incremental build gets the requests that changed.
#}
{% macro recommendation_events() -%}
    select
        fct_events.*,
        items.book_id as item_book_id,
        items.item_number,
        items.position as item_position,
        items.propensity,
        items.draw_id,
        items.answer_source
    from {{ ref('fct_events') }} as fct_events
    inner join {{ ref('int_recommendation_items') }} as items
        on fct_events.occurred_on = items.occurred_on
        and fct_events.event_id = items.event_id
        and fct_events.object_key = items.object_key
        and fct_events.record_index = items.record_index
    {%- if is_incremental() %}
    where items.request_id in (
        {{ changed_requests() }}
    )
    {%- endif %}
{%- endmacro %}


{#
    A query of `fct_exposures`; an incremental build gets the requests that changed. By request and not by row: a book that a
    request no longer shows has no row there.
#}
{% macro exposures_of_changed_requests() -%}
    select *
    from {{ ref('fct_exposures') }}
    {%- if is_incremental() %}
    where request_id in (
        {{ changed_requests() }}
    )
    {%- endif %}
{%- endmacro %}


{# A query of clicks and dismissals in `events`: one row for each request, visitor and book. #}
{% macro responses_in_events() -%}
    select
        request_id,
        visitor_id,
        item_book_id as book_id,
        count(case when event_name = 'Recommendation Clicked' then 1 end) as clicks,
        count(case when event_name = 'Recommendation Dismissed' then 1 end) as dismissals,
        min(case when event_name = 'Recommendation Clicked' then occurred_at end) as clicked_at,
        min(case when event_name = 'Recommendation Dismissed' then occurred_at end) as dismissed_at,
        min(occurred_at) as responded_at,
        coalesce(max(case when is_bot then 1 end), 0) = 1 as is_bot
    from events
    where event_name in ('Recommendation Clicked', 'Recommendation Dismissed')
    group by request_id, visitor_id, item_book_id
{%- endmacro %}


{#
    A pre-hook: deletes the rows of all requests that changed since the model was built. The same build inserts the rows that
    remain, as after `drop_retired`.
#}
{% macro drop_changed_requests() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where request_id in (
            {{ changed_requests() }}
        )
    {%- endif -%}
{%- endmacro %}


{#
    A query of the requests of events that changed since the model was built, including their requests before the change:
    deliveries of one event may name different requests.
#}
{% macro changed_requests() -%}
    select request_id
    from {{ ref('int_recommendation_items') }}
    -- An event has a row with number 0 or 1, whatever else it lists.
    where item_number < 2
        and event_id in (
            select event_id
            from {{ ref('int_event_sessions') }}
            where changed_to > {{ built_to() }}
        )
{%- endmacro %}


{# Whether a list was made for its reader: false for the models of the variable `models_not_personalised`. #}
{% macro is_personalised(model) -%}
    {{ model }} not in ('{{ var('models_not_personalised') | join("', '") }}')
{%- endmacro %}
