-- Name of the version of the key-encryption key that wrapped a key; its length comes first.
create function log.key_version(wrapped bytea) returns text language sql immutable parallel safe
set search_path = pg_catalog as $$
    select encode(substring(wrapped from 2 for case when wrapped = '' then 0 else get_byte(wrapped, 0) end), 'escape')
$$;

grant execute on function log.key_version to custodian;
