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

newest as (

    {{ newest_snapshot(ref('stg_attributes__users')) }}

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
    from newest

)

select * from final

{% endsnapshot %}
