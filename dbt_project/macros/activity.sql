{#
    Whether an event is something a reader does. Messages that were sent to a reader, and renewals that a store bills by itself, say
    nothing of a visit: counted as activity they would raise active readers and retention.
#}
{% macro is_reader_activity(event_name) -%}
    {{ event_name }} not in (
        'Campaign Message Sent', 'Journey Message Sent', 'Push Received',
        'Email Sent', 'Email Delivered', 'Email Bounced', 'Email Rejected', 'Email Rendering Failed',
        'SMS Delivered', 'SMS Buffered', 'SMS Failed', 'Subscription Renewed'
    )
{%- endmacro %}
