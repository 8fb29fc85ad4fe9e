-- Ends the keys of whole months before a day, with the raw messages under them: how many of each. Refused for the month
-- that still wraps, and while a message of those months waits for someone.
create function log.expire_months(before date, out months bigint, out messages bigint) language plpgsql
security definer set search_path = pg_catalog as $$
declare
    ending uuid[];
    waiting bigint;
begin
    if before > date_trunc('month', clock_timestamp() at time zone 'utc') then
        raise exception 'messages of this month still come under its key' using errcode = 'PCP03';
    end if;
    select coalesce(array_agg(k.key_id), '{}') into ending from log.monthly_keys k
     where k.month + interval '1 month' <= before;
    select count(*) into waiting from log.rejected r
     where r.state = 'open' and exists (
        select from log.raw_messages m where m.receipt_key = r.receipt_key and m.key_id = any(ending));
    if waiting > 0 then
        raise exception '% messages of those months wait for someone; resolve or discard them first', waiting
            using errcode = 'PCP03';
    end if;
    delete from log.raw_messages m where m.key_id = any(ending);
    get diagnostics messages = row_count;
    insert into log.ended_month_keys (key_id) select unnest(ending) on conflict do nothing;
    delete from log.monthly_keys k where k.key_id = any(ending);
    get diagnostics months = row_count;
end
$$;

grant execute on function log.expire_months to custodian;
