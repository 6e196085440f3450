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
        visitor_id,
        metric,
        metric_on,
        case when is_first_day then 1 else 0 end as arrived,
        case when has_pre_period then 1 else 0 end as known,
        cast(numerator_before as double) as old_x,
        cast(numerator_before + numerator as double) as new_x,
        cast(denominator_before as double) as old_y,
        cast(denominator as double) as y,
        cast(pre_numerator as double) as pre_x,
        cast(pre_denominator as double) as pre_y,
        case when metric = ? then ? else 1e15 end as value_limit
    from marts.fct_experiment_metrics
    where experiment = ?
        and metric_on <= ?
        and metric in ({metrics})
),

limited as (
    select
        visitor_id,
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
    readers.variant,
    readers.tier,
    readers.language,
    readers.platform,
    readers.arrival,
    limited.metric,
    limited.metric_on,
    sum(arrived) as n,
    sum(x) as x,
    sum(y) as y,
    sum((2 * old_x + x) * x) as xx,
    sum((2 * old_y + y) * y) as yy,
    sum(old_x * y + old_y * x + x * y) as xy,
    sum(known * arrived) as known,
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
    max(unlimited_x) as largest
from limited
inner join readers on limited.visitor_id = readers.visitor_id
group by
    readers.variant,
    readers.tier,
    readers.language,
    readers.platform,
    readers.arrival,
    limited.metric,
    limited.metric_on
order by limited.metric_on
