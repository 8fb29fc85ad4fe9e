-- The log as the `eventsourcing` library reads and writes it (infra/recorder.py). Runs as owner.

-- Under the library's column names, and with the rights of whoever reads.
create view log.library_events with (security_invoker = true) as
    select stream_id as originator_id, version as originator_version, type as topic, payload as state,
           position as notification_id
      from log.events;

-- How far a library application has come with another's notifications.
create table log.library_tracking (
    application_name text primary key,
    notification_id bigint not null
);

grant select on log.library_events to writer;
grant select, insert, update on log.library_tracking to writer;
