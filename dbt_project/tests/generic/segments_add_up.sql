{# Fails for each day and attribute whose segments do not add up to the costs of the day. #}
{% test segments_add_up(model) %}

with

summed as (

    select
        cost_on,
        segmented_by,
        sum(cost) as cost
    from {{ model }}
    group by cost_on, segmented_by

),

attributes as (

    select distinct segmented_by from summed

),

days as (

    select
        cost_on,
        sum(cost) as cost
    from {{ ref('fct_costs') }}
    where cost_on in (select cost_on from summed)
    group by cost_on

)

select
    days.cost_on,
    attributes.segmented_by,
    days.cost,
    summed.cost as cost_of_segments
from days
cross join attributes
left join summed
    on days.cost_on = summed.cost_on
    and attributes.segmented_by = summed.segmented_by
where days.cost != coalesce(summed.cost, 0)

{% endtest %}
