{# The metrics of experiments, by whether a reader counts 1 in the denominator (a mean per reader) or 0 (a ratio of what was counted). #}
{% macro experiment_metrics() -%}
    {{ return({
        'ctr': 0, 'clicks': 1, 'empty_answers': 0, 'fallback_share': 0, 'starts': 1, 'finishes': 1, 'saves': 1, 'subscriptions': 1,
        'revenue': 1,
    }) }}
{%- endmacro %}


{#
    A pre-hook of `fct_experiment_metrics`: deletes the rows of visitors whose events changed and who are in an experiment no
    longer, such as a device whose events belong to a reader since. The same build inserts the rows of those who are.
#}
{% macro drop_readers_who_left_experiments() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where visitor_id in (
            select visitor_id
            from {{ ref('int_event_sessions') }}
            where changed_to > {{ built_to() }}
        )
            and (experiment, visitor_id) not in (
                select
                    experiment,
                    visitor_id
                from {{ ref('fct_experiment_assignments') }}
                where not is_bot
                    and not is_staff
            )
    {%- endif -%}
{%- endmacro %}
