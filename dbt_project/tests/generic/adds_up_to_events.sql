{# Fails unless the sum of a column here and in `others` equals the number of events with a name. #}
{% test adds_up_to_events(model, column_name, others, event_name) %}

select
    here.total as total_here,
    others.total as total_of_others,
    events.total as events_found
from (select coalesce(sum({{ column_name }}), 0) as total from {{ model }}) as here
cross join (select coalesce(sum({{ column_name }}), 0) as total from {{ others }}) as others
cross join (select count(*) as total from {{ ref('fct_events') }} where event_name = '{{ event_name }}') as events
where here.total + others.total != events.total

{% endtest %}
