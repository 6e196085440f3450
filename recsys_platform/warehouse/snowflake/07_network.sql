-- Optional: the service users sign in from these networks alone, such as the NAT gateways of the deployment.
-- The role owns the policy and, through useradmin, the users: both are asked for.
use role securityadmin;

create network policy if not exists <% database %>_services allowed_ip_list = (<% allowed_networks %>)
    comment = 'From where the platform and its API sign in';
alter network policy <% database %>_services set allowed_ip_list = (<% allowed_networks %>);

alter user <% user %> set network_policy = <% database %>_services;
alter user <% database %>_api set network_policy = <% database %>_services;
