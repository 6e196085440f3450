-- Who may do what, and what it may cost. Applied by an administrator; every statement may be run again.
-- `loader` writes raw and ops and takes in files; `transformer` builds the marts with dbt and publishes; `reader` serves: it sees published
-- tables and nothing else; `analyst` reads marts and published tables, `scientist` also ops. The platform's own user has
-- `platform`, which is the first two.
-- Each warehouse has a monitor of its own: neither a rebuild nor an analyst's query can stop what readers are served, which only warns.
use role accountadmin;

create resource monitor if not exists <% database %>_monitor with credit_quota = <% monthly_credits %>
    frequency = monthly start_timestamp = immediately
    triggers on 80 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate;
create resource monitor if not exists <% database %>_analysis_monitor with credit_quota = <% monthly_credits %>
    frequency = monthly start_timestamp = immediately
    triggers on 80 percent do notify on 100 percent do suspend;
create resource monitor if not exists <% database %>_serve_monitor with credit_quota = <% monthly_credits %>
    frequency = monthly start_timestamp = immediately
    triggers on 80 percent do notify on 100 percent do notify;

use role sysadmin;

create warehouse if not exists <% warehouse %> with warehouse_size = 'XSMALL' auto_suspend = 60 auto_resume = true
    initially_suspended = true statement_timeout_in_seconds = 7200
    comment = 'Loads, dbt and publishing of the recommendation platform';
create warehouse if not exists <% database %>_serve with warehouse_size = 'XSMALL' auto_suspend = 60 auto_resume = true
    initially_suspended = true statement_timeout_in_seconds = 60
    comment = 'Reads of published recommendations';
create warehouse if not exists <% database %>_analysis with warehouse_size = 'XSMALL' auto_suspend = 60 auto_resume = true
    initially_suspended = true statement_timeout_in_seconds = 1800
    comment = 'Queries of analysts and notebooks';

use role accountadmin;

alter warehouse <% warehouse %> set resource_monitor = <% database %>_monitor;
alter warehouse <% database %>_serve set resource_monitor = <% database %>_serve_monitor;
alter warehouse <% database %>_analysis set resource_monitor = <% database %>_analysis_monitor;

use role useradmin;

create role if not exists <% database %>_loader comment = 'Takes landing files into raw and the ledger';
create role if not exists <% database %>_transformer comment = 'Builds staging to marts and publishes';
create role if not exists <% database %>_reader comment = 'Reads published recommendations';
create role if not exists <% database %>_analyst comment = 'Reads marts and published recommendations';
create role if not exists <% database %>_scientist comment = 'Reads also evaluations, publications and changes of experiments';
create role if not exists <% role %> comment = 'The platform: loads, transforms and publishes';

use role securityadmin;

grant role <% database %>_loader to role <% role %>;
grant role <% database %>_transformer to role <% role %>;
grant role <% role %> to role sysadmin;
grant role <% database %>_reader to role sysadmin;
grant role <% database %>_analyst to role <% database %>_scientist;
grant role <% database %>_scientist to role sysadmin;
grant usage on warehouse <% warehouse %> to role <% database %>_loader;
grant usage on warehouse <% warehouse %> to role <% database %>_transformer;
grant usage on warehouse <% database %>_serve to role <% database %>_reader;
grant usage on warehouse <% database %>_analysis to role <% database %>_analyst;

use role accountadmin;

-- What queries and warehouses cost: the asset ops/cost_of_runs reads it. It shows whose queries ran, of this account as a whole.
grant database role snowflake.usage_viewer to role <% role %>;
