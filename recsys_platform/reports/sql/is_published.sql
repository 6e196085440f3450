select count(*) as n from information_schema.tables
where lower(table_schema) = 'published' and lower(table_name) = 'model_roles'
