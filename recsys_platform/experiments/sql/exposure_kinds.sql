with

exposures as (
    select
        *,
        -- An answer that repeats a draw adds no chance, and how often it is repeated depends on what the reader did.
        draw_id is not null and row_number() over (
            partition by draw_id, position
            order by shown_at, request_id, visitor_id
        ) > 1 as is_repeated
    from marts.fct_exposures
)

select
    shown_on as day,
    case
        when is_bot then 'bot'
        when shown_at < ? then 'early'
        when propensity is null or propensity <= 0 or propensity > 1 then 'unknown'
        when propensity = 1 then 'certain'
        when is_repeated then 'repeated'
        else 'chance'
    end as kind,
    count(*) as exposures
from exposures
group by 1, 2
order by 1, 2
