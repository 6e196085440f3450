select
    shown_on as day,
    case
        when is_bot then 'bot'
        when shown_at < ? then 'early'
        when propensity is null or propensity <= 0 or propensity > 1 then 'unknown'
        when propensity = 1 then 'certain'
        else 'chance'
    end as kind,
    count(*) as exposures
from marts.fct_exposures
group by 1, 2
order by 1, 2
