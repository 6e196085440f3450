-- How Snowflake reads the hub in S3: an integration whose AWS role an administrator of AWS trusts, and a stage on it.
use role accountadmin;

create storage integration if not exists <% database %>_hub type = external_stage storage_provider = 'S3' enabled = true
    storage_aws_role_arn = '<% hub_role_arn %>'
    storage_allowed_locations = ('<% hub %>/');
grant usage on integration <% database %>_hub to role <% database %>_loader;

-- Shows STORAGE_AWS_IAM_USER_ARN and STORAGE_AWS_EXTERNAL_ID, which the trust policy of that AWS role must name.
describe integration <% database %>_hub;

use role <% role %>;

create file format if not exists <% database %>.raw.landed_json type = json compression = auto strip_outer_array = false;
create stage if not exists <% database %>.<% stage %> url = '<% hub %>/' storage_integration = <% database %>_hub
    comment = 'The data hub: landing files, and tables on their way in under loading/';

-- In a schema with managed access an owner cannot grant.
use role securityadmin;

grant usage on stage <% database %>.<% stage %> to role <% database %>_loader;
grant usage on stage <% database %>.<% stage %> to role <% database %>_transformer;
