with

costs as (

    select
        segmented_by,
        segment,
        sum(cost) as cost
    from marts.rpt_cost_daily
    where segmented_by in ('all', 'stage', 'surface', 'model', 'variant')
        and cost_on >= ?
        and cost_on <= ?
    group by segmented_by, segment

),

requests as (

    select
        surface,
        model,
        case when experiment != 'none' then experiment || '/' || variant end as variant,
        count(*) as requests
    from marts.fct_recommendation_requests
    where not is_bot
        and shown_on >= ?
        and shown_on <= ?
    group by surface, model, case when experiment != 'none' then experiment || '/' || variant end

),

recommended as (

    select
        'all' as segmented_by,
        'all' as segment,
        sum(requests) as recommendations
    from requests
    union all
    select
        'surface' as segmented_by,
        surface as segment,
        sum(requests) as recommendations
    from requests
    group by surface
    union all
    select
        'model' as segmented_by,
        model as segment,
        sum(requests) as recommendations
    from requests
    group by model
    union all
    select
        'variant' as segmented_by,
        variant as segment,
        sum(requests) as recommendations
    from requests
    where variant is not null
    group by variant

)

select
    costs.segmented_by,
    costs.segment,
    cast(costs.cost as decimal(18, 9)) as cost,
    cast(coalesce(
        case when costs.segmented_by = 'stage' or costs.segment = 'not attributed' then everything.recommendations end,
        recommended.recommendations,
        0
    ) as bigint) as recommendations
from costs
left join recommended
    on costs.segmented_by = recommended.segmented_by
    and costs.segment = recommended.segment
left join recommended as everything on everything.segmented_by = 'all'
order by costs.segmented_by asc, costs.cost desc, costs.segment asc
