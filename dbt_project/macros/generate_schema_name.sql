{#
    The schema of a model is the one its configuration names, letter for letter (`marts`, not `<target>_marts`): worlds
    are kept apart by RECSYS_HOME, which gives each its own warehouse.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema if custom_schema_name is none else custom_schema_name | trim }}
{%- endmacro %}
