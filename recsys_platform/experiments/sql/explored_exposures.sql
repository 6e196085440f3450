with

lists as (
    {lists}
),

made as (
    select generated_at from lists
    group by generated_at
),

lasted as (
    select
        generated_at,
        lead(generated_at) over (order by generated_at) as replaced_at
    from made
),

editions as (
    select
        lists.model,
        lasted.generated_at,
        lasted.replaced_at
    from lists
    inner join lasted on lists.generated_at = lasted.generated_at
    group by lists.model, lasted.generated_at, lasted.replaced_at
),

showings as (
    select
        request_id,
        visitor_id,
        user_id,
        book_id,
        position,
        propensity,
        draw_id,
        is_clicked,
        is_bot,
        shown_on,
        shown_at,
        row_number() over (
            partition by draw_id, position
            order by shown_at, request_id, visitor_id
        ) as showing
    from marts.fct_exposures
),

shown as (
    select
        request_id,
        visitor_id,
        user_id,
        book_id,
        position,
        propensity,
        is_clicked,
        shown_at
    from showings
    where propensity < 1
        and not coalesce(is_bot, false)
        and shown_on in ({days})
        and (draw_id is null or showing = 1)
)

select
    editions.model,
    shown.visitor_id,
    shown.book_id,
    lists.book_id as listed_id,
    shown.position,
    shown.propensity,
    shown.is_clicked
from shown
inner join editions
    on shown.shown_at >= editions.generated_at
    and (editions.replaced_at is null or shown.shown_at < editions.replaced_at)
left join lists
    on editions.model = lists.model
    and editions.generated_at = lists.generated_at
    and shown.user_id = lists.user_id
    and shown.position = lists.rank
order by editions.model, shown.request_id, shown.visitor_id, shown.position, shown.book_id
