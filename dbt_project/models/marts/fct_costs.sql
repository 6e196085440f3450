{{ config(materialized='view') }}

{%- set layers_of_stages = {
    'ingestion': ['landing', 'raw', 'hub'],
    'transformation': ['staging', 'intermediate', 'marts'],
    'training': ['training', 'models'],
    'publishing': ['published', 'serving'],
} -%}
{# Not `split_part`: DuckDB cannot fold it over the NULLs below. #}

with

-- `seconds` and `cpu_seconds` tell how long a step took: they are measured and not paid for.
used as (

    select *
    from {{ source('ops', 'cost_of_runs') }}
    where resource not in ('seconds', 'cpu_seconds')

),

answers as (

    select
        counted_on,
        sum(answers) as answers
    from {{ ref('fct_answer_counts') }}
    group by counted_on

),

requests as (

    select
        shown_on,
        surface,
        model,
        {{ experiment_and_variant() }} as variant,
        count(*) as requests
    from {{ ref('fct_recommendation_requests') }}
    group by shown_on, surface, model, {{ experiment_and_variant() }}

),

shares as (

    select
        *,
        sum(requests) over (partition by shown_on) as requests_of_day
    from requests

),

-- An answer that no event says was shown belongs to no surface.
answers_shown as (

    select
        answers.counted_on,
        shares.surface,
        shares.model,
        shares.variant,
        shares.requests
        * case
            when answers.answers < shares.requests_of_day then cast(answers.answers as double) / shares.requests_of_day
            else 1
        end as quantity
    from answers
    inner join shares on answers.counted_on = shares.shown_on

),

answers_not_shown as (

    select
        answers.counted_on,
        answers.answers - max(coalesce(shares.requests_of_day, 0)) as quantity
    from answers
    left join shares on answers.counted_on = shares.shown_on
    group by answers.counted_on, answers.answers

),

answered as (

    select
        counted_on,
        surface,
        model,
        variant,
        quantity
    from answers_shown
    union all
    select
        counted_on,
        cast(null as varchar) as surface,
        cast(null as varchar) as model,
        cast(null as varchar) as variant,
        quantity
    from answers_not_shown
    where quantity > 0

),

quantities as (

    select
        used_on as cost_on,
        usage_id,
        run_id,
        job,
        step,
        asset,
        resource,
        cast(null as varchar) as surface,
        -- The assets of `models/` are the variants and these four.
        case
            when asset like 'models/%'
                and asset not in ('models/aliases', 'models/evaluation', 'models/off_policy', 'models/promotion')
                then replace(asset, 'models/', '')
        end as model,
        cast(null as varchar) as variant,
        is_rebuild,
        quantity,
        started_at
    from used
    {%- for resource in ['answer'] + (['api_request'] if target.type == 'snowflake' else []) %}
    union all
    select
        counted_on as cost_on,
        'answers' as usage_id,
        cast(null as varchar) as run_id,
        cast(null as varchar) as job,
        cast(null as varchar) as step,
        cast(null as varchar) as asset,
        '{{ resource }}' as resource,
        surface,
        model,
        variant,
        false as is_rebuild,
        quantity,
        cast(null as timestamp) as started_at
    from answered
    {%- endfor %}

),

prices as (

    select
        *,
        lead(valid_from) over (partition by resource order by valid_from) as valid_until
    from {{ ref('prices') }}

),

final as (

    select
        quantities.usage_id,
        coalesce(quantities.run_id, 'not attributed') as run_id,
        coalesce(quantities.job, 'not attributed') as job,
        coalesce(quantities.step, 'not attributed') as step,
        coalesce(quantities.asset, 'not attributed') as asset,

        case
            when quantities.resource in ('answer', 'api_request') then 'serving'
            when quantities.resource like '%_gb_month' then 'storage'
            {%- for stage, layers in layers_of_stages.items() %}
            {%- for layer in layers %}
            when quantities.asset like '{{ layer }}/%' then '{{ stage }}'
            {%- endfor %}
            {%- endfor %}
            when quantities.asset is not null then 'reports and exports'
            else 'not attributed'
        end as stage,
        quantities.resource,
        coalesce(quantities.surface, 'not attributed') as surface,
        coalesce(quantities.model, 'not attributed') as model,
        coalesce(quantities.variant, 'not attributed') as variant,

        quantities.quantity,
        cast(prices.usd as double) / prices.per as unit_price,
        cast(coalesce(round(quantities.quantity * cast(prices.usd as double) / prices.per, 9), 0) as decimal(18, 9)) as cost,

        quantities.is_rebuild,

        quantities.cost_on,
        coalesce(quantities.started_at, cast(quantities.cost_on as timestamp)) as started_at
    from quantities
    left join prices
        on quantities.resource = prices.resource
        and quantities.cost_on >= prices.valid_from
        and (prices.valid_until is null or quantities.cost_on < prices.valid_until)

)

select * from final
