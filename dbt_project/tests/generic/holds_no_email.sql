{#
    Rows whose id looks like an e-mail address.
#}
{% test holds_no_email(model, column_name) %}

select {{ column_name }}
from {{ model }}
where {{ matches_any_case(column_name, email_pattern()) }}

{% endtest %}
