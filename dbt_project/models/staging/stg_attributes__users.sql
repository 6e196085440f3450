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

-- Words that mean nothing are gone.
given as (

    select
        snapshot_date,
        user_id,
        {{ value_or_null('country', is_country=true) }} as country,
        {{ value_or_null('language') }} as language_text,
        {{ value_or_null('tier') }} as tier,
        {{ value_or_null('interests') }} as interests_text,
        {{ value_or_null('created_text') }} as created_text,
        {{ value_or_null('email') }} as email,
        loaded_at
    from records

),

typed as (

    select
        *,
        {{ primary_subtag('language_text') }} as language,
        {{ array_length('interests_text') }} as interest_count,
        {{ timestamp_from_date_text('created_text') }} as created_at
    from given

),

final as (

    select
        snapshot_date,
        {{ pseudonym('user_id') }} as user_id,

        upper({{ redact_emails('country') }}) as country,
        language,
        lower({{ redact_emails('tier') }}) as tier,
        {{ string_array(redact_emails('interests_text')) }} as interests,
        {{ email_hash('email') }} as email_hash,

        {{ unread('language_text', 'language') }} as unread_language,
        {{ unread('interests_text', 'interest_count') }} as unread_interests,
        {{ unread('created_text', 'created_at') }} as unread_created_at,

        created_at,
        loaded_at
    from typed

)

select * from final
-- Without a salt nobody can be told from an address.
where user_id is not null
