{# Fails for each row: the model should be empty. #}
{% test is_empty(model) %}

select * from {{ model }}

{% endtest %}
