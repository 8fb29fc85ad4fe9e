-- RFC 6962 leaf over the canonical envelope of one access, layout 1 (docs/evidence.md). Big-endian; times are
-- microseconds since 2000-01-01T00:00:00Z. The mark in front of the layout makes it no leaf of an event.
create function log.access_leaf(place bigint, r access.reads) returns bytea language sql immutable parallel safe
set search_path = pg_catalog as $$
    select sha256('\x004101'::bytea
        || int8send(place) || int8send(r.access_id) || timestamptz_send(r.at)
        || coalesce(uuid_send(r.patient_id), '\x00000000000000000000000000000000'::bytea)
        || int8send(coalesce(r.through_position, 0))
        || log.told(convert_to(r.actor, 'UTF8')) || log.told(convert_to(r.role, 'UTF8'))
        || log.told(convert_to(r.organisation, 'UTF8')) || log.told(convert_to(r.purpose, 'UTF8'))
        || log.told(convert_to(r.outcome, 'UTF8')) || log.told(convert_to(r.projection, 'UTF8'))
        || log.told(r.answer_hash) || log.told(convert_to(r.correlation_id, 'UTF8')))
$$;

grant execute on function log.access_leaf to auditor;
