-- Read-only share of what is published, for an app that lives in another Snowflake account. To be run after the first publication: views are
-- shared one by one, and only secure ones can be.
use role accountadmin;

create share if not exists <% database %>_published comment = 'Published recommendations, read-only';
grant usage on database <% database %> to share <% database %>_published;
grant usage on schema <% database %>.published to share <% database %>_published;
grant select on view <% database %>.published.user_recommendations to share <% database %>_published;
grant select on view <% database %>.published.similar_books to share <% database %>_published;
grant select on view <% database %>.published.popular_books to share <% database %>_published;
grant select on view <% database %>.published.model_roles to share <% database %>_published;
