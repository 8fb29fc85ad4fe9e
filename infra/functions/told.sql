-- A part of an envelope that varies in length: four bytes of length, then the bytes; absent is length -1.
create function log.told(part bytea) returns bytea language sql immutable parallel safe set search_path = pg_catalog as $$
    select coalesce(int4send(octet_length(part)) || part, '\xffffffff'::bytea)
$$;

grant execute on function log.told to auditor;
