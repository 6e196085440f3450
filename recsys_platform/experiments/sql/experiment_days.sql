with

counted as (
    {counted}
),

-- Who saw two variants is left out.
readers as (
    select
        visitor_id,
        min(variant) as variant,
        min(shown_on) as first_on,
        min(shown_at) as first_at
    from marts.fct_recommendation_requests
    where experiment = ?
        and shown_on between ? and ?
        and not coalesce(is_bot, false)
    group by visitor_id
    having min(variant) = max(variant)
),

-- A reader has a pre-period who was there before, whatever was counted.
known as (
    select
        visitor_id,
        {of_reader} as pre_y
    from marts.fct_recommendation_requests
    where shown_on >= ?
        and shown_on < ?
        and not coalesce(is_bot, false)
    group by visitor_id
),

counted_before as (
    select
        visitor_id,
        sum(x) as x,
        sum(y) as y
    from counted
    where counted_on < ?
    group by visitor_id
),

pre_periods as (
    select
        known.visitor_id,
        cast(coalesce(counted_before.x, 0) as double) as pre_x,
        cast(known.pre_y + coalesce(counted_before.y, 0) as double) as pre_y
    from known
    left join counted_before on known.visitor_id = counted_before.visitor_id
),

gained as (
    select
        visitor_id,
        first_on as gained_on,
        0 as x,
        {of_reader} as y,
        1 as arrived
    from readers

    union all

    select
        readers.visitor_id,
        counted.counted_on as gained_on,
        counted.x,
        counted.y,
        0 as arrived
    from readers
    inner join counted
        on readers.visitor_id = counted.visitor_id
        and readers.first_at <= counted.counted_at
),

days as (
    select
        visitor_id,
        gained_on,
        max(arrived) as arrived,
        cast(sum(x) as double) as x,
        cast(sum(y) as double) as y
    from gained
    group by visitor_id, gained_on
),

grown as (
    select
        *,
        sum(x) over (partition by visitor_id order by gained_on rows unbounded preceding) - x as old_x,
        sum(y) over (partition by visitor_id order by gained_on rows unbounded preceding) - y as old_y
    from days
)

-- What each day adds to the sums: the square of a reader's total grows from old² to (old + x)².
select
    readers.variant,
    grown.gained_on as metric_on,
    sum(grown.arrived) as n,
    sum(grown.x) as x,
    sum(grown.y) as y,
    sum((2 * grown.old_x + grown.x) * grown.x) as xx,
    sum((2 * grown.old_y + grown.y) * grown.y) as yy,
    sum(grown.old_x * grown.y + grown.old_y * grown.x + grown.x * grown.y) as xy,
    sum(case when pre_periods.visitor_id is not null then grown.arrived else 0 end) as known,
    sum(case when pre_periods.visitor_id is not null then grown.x else 0 end) as known_x,
    sum(case when pre_periods.visitor_id is not null then grown.y else 0 end) as known_y,
    coalesce(sum(grown.arrived * pre_periods.pre_x), 0) as pre_x,
    coalesce(sum(grown.arrived * pre_periods.pre_y), 0) as pre_y,
    coalesce(sum(grown.arrived * pre_periods.pre_x * pre_periods.pre_x), 0) as pre_xx,
    coalesce(sum(grown.arrived * pre_periods.pre_y * pre_periods.pre_y), 0) as pre_yy,
    coalesce(sum(grown.arrived * pre_periods.pre_x * pre_periods.pre_y), 0) as pre_xy,
    coalesce(sum(grown.x * pre_periods.pre_x), 0) as x_pre_x,
    coalesce(sum(grown.x * pre_periods.pre_y), 0) as x_pre_y,
    coalesce(sum(grown.y * pre_periods.pre_x), 0) as y_pre_x,
    coalesce(sum(grown.y * pre_periods.pre_y), 0) as y_pre_y,
    max(grown.old_x + grown.x) as largest
from grown
inner join readers on grown.visitor_id = readers.visitor_id
left join pre_periods on grown.visitor_id = pre_periods.visitor_id
group by readers.variant, grown.gained_on
order by readers.variant, grown.gained_on
