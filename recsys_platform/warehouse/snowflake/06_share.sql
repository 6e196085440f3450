-- Read-only share of what is published, for an app that lives in another Snowflake account. Only secure views can be shared.
use role accountadmin;

create share if not exists <% database %>_published comment = 'Published recommendations, read-only';
grant usage on database <% database %> to share <% database %>_published;
grant usage on schema <% database %>.published to share <% database %>_published;
grant reference_usage on database <% database %> to share <% database %>_published;
grant select on all views in schema <% database %>.published to share <% database %>_published;
