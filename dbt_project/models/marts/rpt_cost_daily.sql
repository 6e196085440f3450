{{ config(materialized='view') }}

{%- set attributes = ['stage', 'resource', 'asset', 'run', 'surface', 'model', 'variant'] -%}

with

costs as (

    select * from {{ ref('fct_costs') }}

),

attributes as (

    {% for attribute in ['all'] + attributes -%}
    select '{{ attribute }}' as segmented_by
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- Each cost once for each attribute, so that the segments of an attribute add up to the total.
segments as (

    select
        costs.cost_on,
        attributes.segmented_by,
        case attributes.segmented_by
            when 'all' then 'all'
            {%- for attribute in attributes %}
            when '{{ attribute }}' then costs.{{ 'run_id' if attribute == 'run' else attribute }}
            {%- endfor %}
        end as segment,
        costs.cost,
        case when costs.run_id != 'not attributed' then costs.run_id end as run_id
    from costs
    cross join attributes

),

summed as (

    select
        cost_on,
        segmented_by,
        segment,
        -- What belongs to no surface, model or variant, and what is no part of them, is paid for all recommendations.
        case
            when segmented_by in ('surface', 'model', 'variant') and segment != 'not attributed'
                then segmented_by || ' ' || segment
            else 'all'
        end as paid_for,
        sum(cost) as cost,
        count(distinct run_id) as runs
    from segments
    group by cost_on, segmented_by, segment

),

requests as (

    select
        shown_on,
        surface,
        model,
        {{ experiment_and_variant() }} as variant,
        count(*) as requests
    from {{ ref('fct_recommendation_requests') }}
    where not is_bot
    group by shown_on, surface, model, {{ experiment_and_variant() }}

),

recommended as (

    select
        shown_on,
        'all' as paid_for,
        sum(requests) as recommendations
    from requests
    group by shown_on
    {%- for attribute in ['surface', 'model', 'variant'] %}
    union all
    select
        shown_on,
        '{{ attribute }} ' || {{ attribute }} as paid_for,
        sum(requests) as recommendations
    from requests
    where {{ attribute }} is not null
    group by shown_on, {{ attribute }}
    {%- endfor %}

),

readers as (

    select
        occurred_on,
        active_readers
    from {{ ref('rpt_daily_activity') }}

),

final as (

    select
        summed.segmented_by,
        summed.segment,

        cast(summed.cost as decimal(18, 9)) as cost,
        cast(summed.runs as bigint) as runs,
        cast(coalesce(recommended.recommendations, 0) as bigint) as recommendations,
        cast(coalesce(readers.active_readers, 0) as bigint) as active_readers,

        round(cast(summed.cost as double) / nullif(summed.runs, 0), 9) as cost_per_run,
        round(1000 * cast(summed.cost as double) / nullif(recommended.recommendations, 0), 9)
            as cost_per_1000_recommendations,
        round(cast(summed.cost as double) / nullif(readers.active_readers, 0), 9) as cost_per_active_reader,

        summed.cost_on
    from summed
    left join recommended
        on summed.cost_on = recommended.shown_on
        and summed.paid_for = recommended.paid_for
    left join readers on summed.cost_on = readers.occurred_on

)

select * from final
