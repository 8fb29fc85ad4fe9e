-- Bytes of messages that hold something of a patient whose key is destroyed; what was set aside of them is closed.
create function log.purge_copies(which uuid, raw bytea[]) returns void language plpgsql security definer
set search_path = pg_catalog as $$
begin
    if not exists (select from log.destructions where destruction_id = which and carried_out_at is not null) then
        raise exception 'this key is not destroyed' using errcode = 'PCP03';
    end if;
    perform log.purge_raw(raw);
    update log.rejected r set state = 'discarded', closed_at = clock_timestamp(), closing_reason = 'key destroyed'
     where r.receipt_key = any(raw) and r.state = 'open';
end
$$;

grant execute on function log.purge_copies to custodian, shredder;
