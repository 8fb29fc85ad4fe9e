-- What a destruction left, where a restore has brought back a database that does not know of it: the request as the
-- ledger outside tells it, and the marks. True where the patient is in this database, so that the key is still to be
-- destroyed. For the owner alone, who migrates and restores.
create function log.reapply_destruction(told jsonb, marks bytea[]) returns boolean language plpgsql
set search_path = pg_catalog as $$
declare
    entry log.destructions := jsonb_populate_record(null::log.destructions, told);
begin
    update log.destructions d set withdrawn_at = clock_timestamp(), withdrawn_by = 'restore'
     where d.patient_id = entry.patient_id and d.destruction_id <> entry.destruction_id
       and d.withdrawn_at is null and d.carried_out_at is null;
    insert into log.destructions as d (destruction_id, patient_id, reason, requested_by, requested_at, confirmed_by,
                                       confirmed_at, due_at)
    values (entry.destruction_id, entry.patient_id, entry.reason, entry.requested_by, entry.requested_at,
            entry.confirmed_by, entry.confirmed_at, entry.confirmed_at)
    on conflict (destruction_id) do update set confirmed_by = excluded.confirmed_by,
        confirmed_at = excluded.confirmed_at, due_at = excluded.due_at, withdrawn_by = null, withdrawn_at = null;
    insert into log.suppressed (digest, patient_id) select n.digest, entry.patient_id from unnest(marks) as n(digest)
    on conflict do nothing;
    if exists (select from log.events e where e.patient_id = entry.patient_id) then
        return true;
    end if;
    update log.destructions d set carried_out_at = entry.carried_out_at where d.destruction_id = entry.destruction_id;
    return false;
end
$$;
