{#
    A query of the KPIs: one row each, from the metrics of the project that have a `unit` in their meta. What a KPI is called,
    what it means and whether it is a ratio is written there once (models/marts/_metrics.yml).
#}
{% macro kpis() -%}
    {%- set metrics = graph.metrics.values() if execute else [] -%}
    {%- for metric in metrics if metric.config.meta.get('unit') %}
    select
        '{{ metric.name }}' as kpi,
        '{{ metric.label | replace("'", "''") }}' as label,
        '{{ metric.config.meta.unit }}' as unit,
        '{{ metric.config.meta.source }}' as source,
        '{{ metric.description | trim | replace("\n", " ") | replace("'", "''") }}' as definition,
        {{ (metric.type == 'simple') | lower }} as is_total
    {{ 'union all' if not loop.last }}
    {%- else %}
    select 'none' as kpi, '' as label, '' as unit, '' as source, '' as definition, true as is_total
    {%- endfor %}
{%- endmacro %}
