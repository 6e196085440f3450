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
        experiment,
        variant,
        metric,

        cast(sum(arrived) as bigint) as n,
        sum(x) as x,
        sum(y) as y,
        sum((2 * old_x + x) * x) as xx,
        sum((2 * old_y + y) * y) as yy,
        sum(old_x * y + old_y * x + x * y) as xy,
        cast(sum(known * arrived) as bigint) as known,
        sum(known * x) as known_x,
        sum(known * y) as known_y,
        sum(arrived * pre_x) as pre_x,
        sum(arrived * pre_y) as pre_y,
        sum(arrived * pre_x * pre_x) as pre_xx,
        sum(arrived * pre_y * pre_y) as pre_yy,
        sum(arrived * pre_x * pre_y) as pre_xy,
        sum(x * pre_x) as x_pre_x,
        sum(x * pre_y) as x_pre_y,
        sum(y * pre_x) as y_pre_x,
        sum(y * pre_y) as y_pre_y,

        metric_on
    from days
    group by experiment, variant, metric, metric_on

)

select * from final
