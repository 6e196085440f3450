with

-- Who saw two variants by the last day is left out, also of the days before.
readers as (
    select
        assignments.visitor_id,
        assignments.variant,
        coalesce(history.tier, 'unknown') as tier,
        coalesce(history.language, 'unknown') as language,
        coalesce(assignments.platform, 'unknown') as platform,
        case when assignments.is_returning then 'returning' else 'new' end as arrival
    from marts.fct_experiment_assignments as assignments
    left join marts.dim_users_history as history
        on assignments.user_id = history.user_id
        and assignments.first_shown_on >= history.valid_from
        and assignments.first_shown_on < coalesce(history.valid_to, cast('9999-12-31' as date))
    where assignments.experiment = ?
        and assignments.first_shown_on <= ?
        and not assignments.is_bot
        and not assignments.is_staff
        and (assignments.other_variant_on is null or assignments.other_variant_on > ?)
),

days as (
    select
        readers.variant,
        readers.tier,
        readers.language,
        readers.platform,
        readers.arrival,
        metrics.metric,
        metrics.metric_on,
        case when metrics.is_first_day then 1 else 0 end as arrived,
        case when metrics.has_pre_period then 1 else 0 end as known,
        cast(metrics.numerator_before as double) as old_x,
        cast(metrics.numerator_before + metrics.numerator as double) as new_x,
        cast(metrics.denominator_before as double) as old_y,
        cast(metrics.denominator as double) as y,
        cast(metrics.pre_numerator as double) as pre_x,
        cast(metrics.pre_denominator as double) as pre_y,
        case when metrics.metric = ? then ? else 1e15 end as value_limit
    from marts.fct_experiment_metrics as metrics
    inner join readers on metrics.visitor_id = readers.visitor_id
    where metrics.experiment = ?
        and metrics.metric_on <= ?
        and metrics.metric in ({metrics})
),

limited as (
    select
        variant,
        tier,
        language,
        platform,
        arrival,
        metric,
        metric_on,
        arrived,
        known,
        least(old_x, value_limit) as old_x,
        least(new_x, value_limit) - least(old_x, value_limit) as x,
        new_x as unlimited_x,
        old_y,
        y,
        least(pre_x, value_limit) as pre_x,
        pre_y
    from days
)

-- What each day adds to the sums: the square of a reader's total grows from old² to (old + x)².
select
    limited.variant,
    limited.tier,
    limited.language,
    limited.platform,
    limited.arrival,
    limited.metric,
    limited.metric_on,
    sum(limited.arrived) as n,
    sum(limited.x) as x,
    sum(limited.y) as y,
    sum((2 * limited.old_x + limited.x) * limited.x) as xx,
    sum((2 * limited.old_y + limited.y) * limited.y) as yy,
    sum(limited.old_x * limited.y + limited.old_y * limited.x + limited.x * limited.y) as xy,
    sum(limited.known * limited.arrived) as known,
    sum(limited.known * limited.x) as known_x,
    sum(limited.known * limited.y) as known_y,
    sum(limited.arrived * limited.pre_x) as pre_x,
    sum(limited.arrived * limited.pre_y) as pre_y,
    sum(limited.arrived * limited.pre_x * limited.pre_x) as pre_xx,
    sum(limited.arrived * limited.pre_y * limited.pre_y) as pre_yy,
    sum(limited.arrived * limited.pre_x * limited.pre_y) as pre_xy,
    sum(limited.x * limited.pre_x) as x_pre_x,
    sum(limited.x * limited.pre_y) as x_pre_y,
    sum(limited.y * limited.pre_x) as y_pre_x,
    sum(limited.y * limited.pre_y) as y_pre_y,
    max(limited.unlimited_x) as largest
from limited
group by
    limited.variant,
    limited.tier,
    limited.language,
    limited.platform,
    limited.arrival,
    limited.metric,
    limited.metric_on
order by limited.metric_on
