-- RFC 6962 leaf over the canonical envelope of one event, layout 1 (docs/evidence.md). Big-endian throughout;
-- times are microseconds since 2000-01-01T00:00:00Z; what is absent is zero bytes.
create function log.leaf(
    place bigint, recorded timestamptz, stream uuid, version integer, patient uuid, seq integer,
    type text, occurred timestamptz, occurred_precision "char", payload bytea, key uuid
) returns bytea language sql stable parallel safe as $$
    select sha256('\x0001'::bytea
        || int8send(place) || timestamptz_send(recorded) || uuid_send(stream) || int4send(version)
        || coalesce(uuid_send(patient), '\x00000000000000000000000000000000'::bytea)
        || int4send(coalesce(seq, 0))
        || int4send(octet_length(type)) || convert_to(type, 'UTF8')
        || timestamptz_send(occurred) || charsend(occurred_precision)
        || coalesce(uuid_send(key), '\x00000000000000000000000000000000'::bytea)
        || sha256(payload))
$$;



grant execute on function log.leaf to auditor;
