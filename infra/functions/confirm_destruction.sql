-- The second person's word: from now the delay runs, never less than the owner's least. Returns when it may be
-- carried out.
create function log.confirm_destruction(whose uuid, said_by text, delay interval) returns timestamptz language plpgsql
security definer set search_path = pg_catalog as $$
declare
    request log.destructions;
begin
    select * into request from log.destructions
     where patient_id = whose and withdrawn_at is null and carried_out_at is null for update;
    if not found then
        raise exception 'nobody has asked for the destruction of this key' using errcode = 'PCP03';
    elsif request.confirmed_by is not null then
        raise exception 'the destruction of this key is confirmed already' using errcode = 'PCP03';
    elsif lower(request.requested_by) = lower(said_by) then
        raise exception 'the person who confirms must be another than the one who asked' using errcode = 'PCP03';
    end if;
    update log.destructions set confirmed_by = said_by, confirmed_at = clock_timestamp(),
           due_at = clock_timestamp() + greatest(delay, (select r.least_delay from log.custody_rules r))
     where destruction_id = request.destruction_id returning * into request;
    return request.due_at;
end
$$;

grant execute on function log.confirm_destruction to custodian;
