{#- A view: few ask, and sums of all days would have to be made again with each build. -#}
{{ config(materialized='view') }}

with

-- Who saw two variants is left out, also of the days before.
readers as (

    select
        experiment,
        visitor_id
    from {{ ref('fct_experiment_assignments') }}
    where other_variant_on is null

),

days as (

    select
        metrics.experiment,
        metrics.variant,
        metrics.metric,
        case when metrics.is_first_day then 1 else 0 end as arrived,
        case when metrics.has_pre_period then 1 else 0 end as known,
        cast(metrics.numerator as double) as x,
        cast(metrics.denominator as double) as y,
        cast(metrics.numerator_before as double) as old_x,
        cast(metrics.denominator_before as double) as old_y,
        cast(metrics.pre_numerator as double) as pre_x,
        cast(metrics.pre_denominator as double) as pre_y,
        metrics.metric_on
    from {{ ref('fct_experiment_metrics') }} as metrics
    inner join readers
        on metrics.experiment = readers.experiment
        and metrics.visitor_id = readers.visitor_id

),

-- The square of a reader's total grows from old² to (old + x)².
final as (

    select
        days.experiment,
        days.variant,
        days.metric,

        cast(sum(days.arrived) as bigint) as n,
        sum(days.x) as x,
        sum(days.y) as y,
        sum((2 * days.old_x + days.x) * days.x) as xx,
        sum((2 * days.old_y + days.y) * days.y) as yy,
        sum(days.old_x * days.y + days.old_y * days.x + days.x * days.y) as xy,
        cast(sum(days.known * days.arrived) as bigint) as known,
        sum(days.known * days.x) as known_x,
        sum(days.known * days.y) as known_y,
        sum(days.arrived * days.pre_x) as pre_x,
        sum(days.arrived * days.pre_y) as pre_y,
        sum(days.arrived * days.pre_x * days.pre_x) as pre_xx,
        sum(days.arrived * days.pre_y * days.pre_y) as pre_yy,
        sum(days.arrived * days.pre_x * days.pre_y) as pre_xy,
        sum(days.x * days.pre_x) as x_pre_x,
        sum(days.x * days.pre_y) as x_pre_y,
        sum(days.y * days.pre_x) as y_pre_x,
        sum(days.y * days.pre_y) as y_pre_y,

        days.metric_on
    from days
    group by days.experiment, days.variant, days.metric, days.metric_on

)

select * from final
