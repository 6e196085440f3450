{# Fails if the sum of a column is more than `share` of its sum here and in `others`. #}
{% test is_rare_among(model, column_name, others, share) %}

select
    here.total as total_here,
    others.total as total_of_others
from (select coalesce(sum({{ column_name }}), 0) as total from {{ model }}) as here
cross join (select coalesce(sum({{ column_name }}), 0) as total from {{ others }}) as others
where here.total > {{ share }} * (here.total + others.total)

{% endtest %}
