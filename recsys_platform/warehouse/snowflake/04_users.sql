-- Service users sign in by key pair alone and have no password. Their time zone is UTC, and a
-- `timestamp` has none, whatever the account says. The API's user cannot sign in until it is given a
-- key of its own: `alter user … set rsa_public_key = '…'`.
use role useradmin;

create user if not exists <% user %> type = service default_role = <% role %> default_warehouse = <% warehouse %>
    default_namespace = <% database %> comment = 'The recommendation platform';
create user if not exists <% database %>_api type = service default_role = <% database %>_reader
    default_warehouse = <% database %>_serve default_namespace = <% database %>.published comment = 'The recommendation API';
alter user <% user %> set timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ' rsa_public_key = '<% public_key %>';
alter user <% database %>_api set timezone = 'UTC' timestamp_type_mapping = 'TIMESTAMP_NTZ';

use role securityadmin;

grant role <% role %> to user <% user %>;
grant role <% database %>_reader to user <% database %>_api;
