{#
    Fails for each key that several rows have, and for each key with a NULL in it.

    `columns`: the columns of the key. For a key of one column, dbt's `unique` and `not_null` do the same.
#}
{% test primary_key(model, columns) %}

select
    {{ columns | join(', ') }},
    count(*) as rows_found
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}

{% endtest %}
