-- Optional, to watch arrivals: Snowpipe loads landing files within a minute of S3's notification. No mart is built from this table: a pipe
-- keeps no account of the records that it could not read.
use role <% role %>;

create table if not exists <% database %>.raw.arriving_events (
    record variant, object_key varchar, record_number bigint, arrived_at timestamp_ltz
) data_retention_time_in_days = 0;
create pipe if not exists <% database %>.raw.arriving_events_pipe auto_ingest = true
    comment = 'Its notification_channel is the queue that the bucket must notify' as
    copy into <% database %>.raw.arriving_events (record, object_key, record_number, arrived_at)
    from (
        select
            $1,
            metadata$filename,
            metadata$file_row_number,
            metadata$start_scan_time
        from @<% database %>.<% stage %>/engagement_events/
    )
    file_format = (format_name = '<% database %>.raw.landed_json') on_error = skip_file;
