create function log.monthly_key(candidate uuid, this_month date, candidate_wrapped bytea)
returns log.monthly_keys language plpgsql security definer set search_path = pg_catalog as $$
declare
    found log.monthly_keys;
begin
    insert into log.monthly_keys (key_id, month, wrapped) values (candidate, this_month, candidate_wrapped)
    on conflict do nothing;
    select * into found from log.monthly_keys where month = this_month and state <> 'replaced';
    return found;
end
$$;

grant execute on function log.monthly_key to writer;
