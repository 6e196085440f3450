{{ config(incremental_strategy='delete+insert', unique_key='snapshot_date') }}

with

records as (

    {{ json_fields(
        source('raw', 'user_attributes'),
        keep=['snapshot_date', 'user_id', 'loaded_at'],
        where=newly_loaded(),
        fields={
            'country': 'country',
            'language': 'language',
            'tier': 'tier',
            'interests': 'interests',
            'created_text': 'created_at',
            'email': 'email',
        },
    ) }}

),

final as (

    select
        snapshot_date,
        {{ pseudonym('user_id') }} as user_id,

        upper({{ redact_emails('country') }}) as country,
        lower({{ redact_emails('language') }}) as language,
        lower({{ redact_emails('tier') }}) as tier,
        {{ string_array(redact_emails('interests')) }} as interests,
        {{ email_hash('email') }} as email_hash,

        {{ timestamp_from_iso('created_text') }} as created_at,
        loaded_at
    from records

)

select * from final
-- Without a salt nobody can be told from an address.
where user_id is not null
