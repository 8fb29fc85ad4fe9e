-- Deletes the bytes of messages; the keys of months that seal some of them, or did, are to be replaced. For other functions.
create function log.purge_raw(raw bytea[]) returns void language sql set search_path = pg_catalog as $$
    update log.monthly_keys k set state = 'due'
     where k.state = 'open' and k.key_id in (
        select unnest(m.key_id || m.stood_under) from log.raw_messages m where m.receipt_key = any(raw));
    delete from log.raw_messages m where m.receipt_key = any(raw);
$$;
