-- Notes that someone asks for a patient's key to be destroyed; nothing happens until another person confirms it.
create function log.request_destruction(whose uuid, why text, asked_by text) returns uuid language plpgsql
security definer set search_path = pg_catalog as $$
declare
    made uuid := gen_random_uuid();
begin
    if not exists (select from log.keys where patient_id = whose) then
        raise exception 'there is no such patient, or the key is destroyed already' using errcode = 'PCP03';
    end if;
    insert into log.destructions (destruction_id, patient_id, reason, requested_by) values (made, whose, why, asked_by);
    return made;
exception when unique_violation then
    raise exception 'the destruction of this key is asked for already' using errcode = 'PCP03';
end
$$;

grant execute on function log.request_destruction to custodian;
