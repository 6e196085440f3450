select
    user_id,
    country,
    language,
    tier,
    interests
from marts.dim_users
order by user_id
