-- Ends a month's key that was replaced and under which nothing is left; whether it did.
create function log.end_month_key(which uuid) returns boolean language sql security definer
set search_path = pg_catalog as $$
    delete from log.monthly_keys k where k.key_id = which and k.state = 'replaced'
       and not exists (select from log.raw_messages m where m.key_id = which)
    returning true
$$;

grant execute on function log.end_month_key to custodian, shredder;
