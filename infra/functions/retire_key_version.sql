-- From now on nothing is stored under this version. Waits for those who are just storing, so that whoever looks
-- afterwards finds every key that is left under it.
create function log.retire_key_version(which text) returns void language plpgsql security definer
set search_path = pg_catalog as $$
begin
    lock table log.keys, log.monthly_keys in share mode;
    insert into log.retired_key_versions (version) values (which) on conflict do nothing;
end
$$;

grant execute on function log.retire_key_version to custodian;
