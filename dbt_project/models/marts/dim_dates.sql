with

days as (

    {{ days_between(var('dates_from'), var('dates_until')) }}

),

final as (

    select
        date_day,

        cast({{ dbt.date_trunc('week', 'date_day') }} as date) as week_start,
        cast({{ dbt.date_trunc('month', 'date_day') }} as date) as month_start,
        cast({{ dbt.date_trunc('quarter', 'date_day') }} as date) as quarter_start,
        cast({{ dbt.date_trunc('year', 'date_day') }} as date) as year_start,
        cast({{ dbt.dateadd('month', 1, dbt.date_trunc('month', 'date_day')) }} as date) as next_month_start,
        cast({{ dbt.dateadd('year', -1, 'date_day') }} as date) as date_last_year,
        -- 52 weeks, so that a Monday is compared with a Monday.
        cast({{ dbt.dateadd('day', -364, 'date_day') }} as date) as weekday_last_year
    from days

)

select * from final
order by date_day
