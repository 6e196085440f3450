{#
    Fails for each id that looks like an e-mail address. The pattern is slow, so only ids that may match are checked with it.
#}
{% test holds_no_email(model, column_name) %}

select {{ column_name }}
from {{ model }}
where ({{ column_name }} like '%@%' or {{ column_name }} like '%!%40%' escape '!')
    and {{ matches_any_case(column_name, email_pattern()) }}

{% endtest %}
