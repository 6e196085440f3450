with lists as ({lists})

select
    model,
    model_version,
    generated_at
from lists
group by 1, 2, 3
order by 1, 3, 2
