{# Fails for every row of a model that should have none. #}
{% test is_empty(model) %}

select * from {{ model }}

{% endtest %}
