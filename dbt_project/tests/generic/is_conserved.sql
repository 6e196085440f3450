{# Fails for each row whose total is not the sum of its parts. NULL counts as 0. #}
{% test is_conserved(model, total, parts) %}

select *
from {{ model }}
where coalesce({{ total }}, 0) != 0
    {%- for part in parts %} + coalesce({{ part }}, 0){% endfor %}

{% endtest %}
