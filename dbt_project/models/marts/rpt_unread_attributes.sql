with

books as (

    {{ newest_snapshot(ref('stg_attributes__books')) }}

),

users as (

    {{ newest_snapshot(ref('stg_attributes__users')) }}

),

columns_of_both as (

    {%- for column in [
        'language', 'categories', 'reading_minutes', 'is_premium', 'is_available', 'published_at'
    ] %}
    select
        'book_attributes' as kind,
        '{{ column }}' as column_name,
        snapshot_date,
        book_id as id,
        unread_{{ column }} as unread_text
    from books
    union all
    {%- endfor %}
    {%- for column in ['language', 'interests', 'created_at'] %}
    select
        'user_attributes' as kind,
        '{{ column }}' as column_name,
        snapshot_date,
        user_id as id,
        unread_{{ column }} as unread_text
    from users
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

final as (

    select
        kind,
        column_name,

        min(case when unread_text is not null then id end) as first_id,
        min_by(unread_text, case when unread_text is not null then id end) as first_value,

        count(*) as records,
        count(unread_text) as unread_values,

        snapshot_date
    from columns_of_both
    group by kind, column_name, snapshot_date
    having count(unread_text) > 0

)

select * from final
