-- Keeps bytes of messages some of which are taken up again: theirs take the place of those that were kept, if these are
-- still there, and name the keys of months under which they stood. For other functions.
create function log.keep_raw(
    receipts bytea[], replaces boolean[], raw_keys bytea[], raw_key_ids uuid[], raw_sealed bytea[], at timestamptz
) returns void language sql set search_path = pg_catalog as $$
    with again as (
        select r.key from unnest(receipts, replaces) as r(key, replaces) where r.replaces
    ), before as (
        delete from log.raw_messages m using again a where m.receipt_key = a.key and m.receipt_key = any(raw_keys)
        returning m.receipt_key, m.received_at, m.stood_under
                  || (select array_agg(k.key_id) from log.monthly_keys k where k.key_id = m.key_id) as stood_under
    )
    insert into log.raw_messages (receipt_key, received_at, key_id, sealed, stood_under)
    select n.key, coalesce(b.received_at, at), n.key_id, n.sealed, b.stood_under
      from unnest(raw_keys, raw_key_ids, raw_sealed) as n(key, key_id, sealed)
      left join before b on b.receipt_key = n.key
     where b.receipt_key is not null or n.key not in (select a.key from again a);
$$;
