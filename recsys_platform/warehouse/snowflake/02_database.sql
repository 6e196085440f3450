-- The database, its schemas, and what each role may do in them. Tables come from `recsys` (raw, ops) and dbt (all others).
use role sysadmin;

create database if not exists <% database %> data_retention_time_in_days = 1
    comment = 'From reading events to measured recommendations';
create schema if not exists <% database %>.raw with managed access comment = 'As landed';
create schema if not exists <% database %>.staging with managed access;
create schema if not exists <% database %>.intermediate with managed access;
create schema if not exists <% database %>.marts with managed access;
create schema if not exists <% database %>.published with managed access;
create schema if not exists <% database %>.ops with managed access;

use role securityadmin;

-- The loader: raw and ops, to read and write; nothing of what is made from them.
grant usage on database <% database %> to role <% database %>_loader;
grant usage, create table, create stage, create file format, create pipe on schema <% database %>.raw to role <% database %>_loader;
grant usage, create table on schema <% database %>.ops to role <% database %>_loader;
grant select, insert, update, delete on all tables in schema <% database %>.raw to role <% database %>_loader;
grant select, insert, update, delete on future tables in schema <% database %>.raw to role <% database %>_loader;
grant select, insert, update, delete on all tables in schema <% database %>.ops to role <% database %>_loader;
grant select, insert, update, delete on future tables in schema <% database %>.ops to role <% database %>_loader;

-- The transformer: reads raw, owns what it builds, keeps its books in ops, publishes.
grant usage on database <% database %> to role <% database %>_transformer;
grant usage on schema <% database %>.raw to role <% database %>_transformer;
grant select on all tables in schema <% database %>.raw to role <% database %>_transformer;
grant select on future tables in schema <% database %>.raw to role <% database %>_transformer;
grant usage, create table, create view on schema <% database %>.staging to role <% database %>_transformer;
grant usage, create table, create view on schema <% database %>.intermediate to role <% database %>_transformer;
grant usage, create table, create view on schema <% database %>.marts to role <% database %>_transformer;
grant usage, create table, create view on schema <% database %>.published to role <% database %>_transformer;
grant usage, create table on schema <% database %>.ops to role <% database %>_transformer;
grant select, insert, update, delete on all tables in schema <% database %>.ops to role <% database %>_transformer;
grant select, insert, update, delete on future tables in schema <% database %>.ops to role <% database %>_transformer;

-- The reader: published views only. A view reads what its owner may read, so the tables behind it need no grant.
grant usage on database <% database %> to role <% database %>_reader;
grant usage on schema <% database %>.published to role <% database %>_reader;
grant select on all views in schema <% database %>.published to role <% database %>_reader;
grant select on future views in schema <% database %>.published to role <% database %>_reader;

-- The analyst: marts and published views. Nothing as landed, and nothing of ops.
grant usage on database <% database %> to role <% database %>_analyst;
grant usage on schema <% database %>.marts to role <% database %>_analyst;
grant select on all tables in schema <% database %>.marts to role <% database %>_analyst;
grant select on future tables in schema <% database %>.marts to role <% database %>_analyst;
grant select on all views in schema <% database %>.marts to role <% database %>_analyst;
grant select on future views in schema <% database %>.marts to role <% database %>_analyst;
grant usage on schema <% database %>.published to role <% database %>_analyst;
grant select on all views in schema <% database %>.published to role <% database %>_analyst;
grant select on future views in schema <% database %>.published to role <% database %>_analyst;

-- The scientist: what the analyst reads, and ops, where evaluations, published versions and changes of experiments are kept.
grant usage on schema <% database %>.ops to role <% database %>_scientist;
grant select on all tables in schema <% database %>.ops to role <% database %>_scientist;
grant select on future tables in schema <% database %>.ops to role <% database %>_scientist;
