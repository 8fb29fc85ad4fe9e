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
        seen => head, reads => '{}', stream_ids => stream_ids, versions => versions, types => types,
        occurred_ats => array_fill(clock_timestamp(), array[many]), precisions => repeat('I', many),
        payloads => payloads);
    if appended.answer <> 'appended' then
        raise exception 'the log answered % to an append under its lock', appended.answer;
    end if;
    return query select appended.base + place from generate_series(1, many) as place;
end
$$;

grant execute on function log.append_library_events to writer;
