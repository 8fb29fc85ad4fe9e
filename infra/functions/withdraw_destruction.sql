-- Either person, or anyone else, may call it off while it is not carried out. False when there is none.
create function log.withdraw_destruction(whose uuid, said_by text) returns boolean language sql security definer
set search_path = pg_catalog as $$
    with withdrawn as (
        update log.destructions set withdrawn_by = said_by, withdrawn_at = clock_timestamp()
         where patient_id = whose and withdrawn_at is null and carried_out_at is null returning 1
    )
    select exists (select from withdrawn)
$$;

grant execute on function log.withdraw_destruction to custodian;
