-- Destroys a patient's key in one transaction with the event that tells of it: `payload` in clear, at version
-- `next_version` of the patient's own stream. `raw` names receipts whose bytes hold something of the patient.
-- Answers 'stale', and does nothing, where that stream has gone on, since a hold may have been placed.
create function log.destroy_key(
    which uuid, next_version integer, payload bytea, raw bytea[], out answer text, out at_position bigint,
    out gone_key uuid, out marks bytea[]
) language plpgsql security definer set search_path = pg_catalog as $$
declare
    request log.destructions;
    head bigint;
begin
    perform pg_advisory_xact_lock(7305550312);
    select * into request from log.destructions where destruction_id = which for update;
    if request.due_at is null or request.withdrawn_at is not null or request.carried_out_at is not null then
        raise exception 'no confirmed request to destroy this key is open' using errcode = 'PCP03';
    elsif request.due_at > clock_timestamp() then
        raise exception 'the time to object has not passed' using errcode = 'PCP03';
    end if;
    if exists (select from log.events e where e.stream_id = request.patient_id and e.version >= next_version) then
        answer := 'stale';
        return;
    end if;
    delete from log.keys k where k.patient_id = request.patient_id returning k.key_id into gone_key;

    select coalesce(max(e.position), 0) into head from log.events e;
    select a.answer, a.base + 1 into answer, at_position from log.append(
        seen => head, reads => '{}', stream_ids => array[request.patient_id], versions => array[next_version],
        patient_ids => array[request.patient_id], types => array['patient.key-destroyed.v1'],
        occurred_ats => array[clock_timestamp()], precisions => 'I', payloads => array[payload],
        key_ids => array[null::uuid]) a;
    if answer <> 'appended' then
        raise exception 'the log answered % to an append under its lock', answer;
    end if;

    insert into log.suppressed (digest, patient_id)
    select i.digest, i.patient_id from log.identifiers i where i.patient_id = request.patient_id
    on conflict do nothing;
    delete from log.identifiers i where i.patient_id = request.patient_id;
    select coalesce(array_agg(s.digest), '{}') into marks from log.suppressed s where s.patient_id = request.patient_id;
    perform log.purge_documents(request.patient_id);
    update log.destructions d set carried_out_at = clock_timestamp(), position = at_position, key_id = gone_key
     where d.destruction_id = which;
    perform log.purge_copies(which, raw);
end
$$;

grant execute on function log.destroy_key to custodian, shredder;
