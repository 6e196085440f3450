{% snapshot dim_users_history %}

{{ config(
    schema='marts',
    unique_key='user_id',
    strategy='check',
    check_cols=['country', 'language', 'tier', 'interests', 'created_at'],
    updated_at='snapshot_date',
    hard_deletes='invalidate',
) }}

with

snapshots as (

    select * from {{ ref('stg_attributes__users') }}

),

final as (

    select
        user_id,

        country,
        language,
        tier,
        interests,

        created_at,
        snapshot_date
    from snapshots
    where snapshot_date = (select max(snapshot_date) from snapshots)

)

select * from final

{% endsnapshot %}
