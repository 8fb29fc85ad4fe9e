-- Closes a message that was set aside. One about a person whose record was destroyed loses its bytes at once.
create function log.discard(which uuid, why text) returns boolean language plpgsql security definer
set search_path = pg_catalog as $$
declare
    closed log.rejected;
begin
    update log.rejected set state = 'discarded', closed_at = clock_timestamp(), closing_reason = why
     where rejected_id = which and state = 'open' returning * into closed;
    if closed.reasons @> '[{"code": "key-destroyed"}]' then
        perform log.purge_raw(array[closed.receipt_key]);
    end if;
    return closed.rejected_id is not null;
end
$$;

grant execute on function log.discard to writer;
