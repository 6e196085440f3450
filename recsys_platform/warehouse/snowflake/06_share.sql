-- Read-only share of the published views, for an app in another Snowflake account. Run it after the first publication: views are shared by
-- name, and only secure views can be shared.
use role accountadmin;

create share if not exists <% database %>_published comment = 'Published recommendations, read-only';
grant usage on database <% database %> to share <% database %>_published;
grant usage on schema <% database %>.published to share <% database %>_published;
grant select on view <% database %>.published.user_recommendations to share <% database %>_published;
grant select on view <% database %>.published.similar_books to share <% database %>_published;
grant select on view <% database %>.published.popular_books to share <% database %>_published;
grant select on view <% database %>.published.model_roles to share <% database %>_published;
