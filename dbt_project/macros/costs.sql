{# "experiment/variant" of a request; NULL outside of experiments. #}
{% macro experiment_and_variant() -%}
case when experiment != '{{ var("no_experiment") }}' then experiment || '/' || variant end
{%- endmacro %}
