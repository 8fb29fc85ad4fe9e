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

-- Appends what the library gives, without a patient and thus without a key, as happening now; returns the positions.
create function log.append_library_events(
    stream_ids uuid[], versions integer[], types text[], payloads bytea[]
) returns setof bigint language plpgsql set search_path = pg_catalog as $$
declare
    many integer := array_length(stream_ids, 1);
    head bigint;
    appended record;
begin
    perform pg_advisory_xact_lock(7305550312);
    select coalesce(max(e.position), 0) into head from log.events e;
    select * into appended from log.append(
        head, '{}', stream_ids, versions, null, types, array_fill(clock_timestamp(), array[many]), repeat('I', many),
        payloads, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
        null, null);
    if appended.answer <> 'appended' then
        raise exception 'the log answered % to an append under its lock', appended.answer;
    end if;
    return query select appended.base + place from generate_series(1, many) as place;
end
$$;

grant execute on function log.append_library_events to writer;
grant select on log.library_events to writer;
grant select, insert, update on log.library_tracking to writer;
