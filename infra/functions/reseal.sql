-- Messages under a month's key that was replaced, sealed anew under the one in its place; how many. `before` are the
-- SHA-256 digests of what the caller has read.
create function log.reseal(replaced uuid, successor uuid, receipts bytea[], before bytea[], after bytea[])
returns bigint language plpgsql security definer set search_path = pg_catalog as $$
declare
    moved bigint;
begin
    if not exists (
        select from log.monthly_keys o join log.monthly_keys n on n.month = o.month
         where o.key_id = replaced and o.state = 'replaced' and n.key_id = successor and n.state <> 'replaced'
    ) then
        raise exception 'this key does not take the place of that one' using errcode = 'PCP03';
    end if;
    update log.raw_messages m set key_id = successor, sealed = t.after
      from unnest(receipts, before, after) as t(receipt_key, before, after)
     where m.receipt_key = t.receipt_key and m.key_id = replaced and sha256(m.sealed) = t.before;
    get diagnostics moved = row_count;
    return moved;
end
$$;

grant execute on function log.reseal to custodian, shredder;
