-- Puts another key in the place of a month's key that is due for it; false where that was done already. Under the append
-- lock, so that whoever looks afterwards finds all messages that came under the old one.
create function log.replace_month_key(which uuid, new_key uuid, new_wrapped bytea) returns boolean language plpgsql
security definer set search_path = pg_catalog as $$
declare
    of_month date;
begin
    perform pg_advisory_xact_lock(7305550312);
    update log.monthly_keys k set state = 'replaced' where k.key_id = which and k.state = 'due'
    returning k.month into of_month;
    if not found then
        return false;
    end if;
    insert into log.monthly_keys (key_id, month, wrapped) values (new_key, of_month, new_wrapped);
    insert into log.ended_month_keys (key_id) values (which);
    return true;
end
$$;

grant execute on function log.replace_month_key to custodian, shredder;
