-- Which patients are one person, by position; what the events `patient.merged.v1` and `patient.unmerged.v1` say of
-- ids alone, so that readers find a person's patients without opening anything. Runs as owner.

create table log.merges (
    position bigint primary key,
    patient_id uuid not null,
    into_id uuid not null,
    joined boolean not null,
    check (patient_id <> into_id)
);
create index merges_patient on log.merges (patient_id);
create index merges_into on log.merges (into_id);

create trigger append_only before update or delete on log.merges
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on log.merges
    for each statement execute function log.refuse_change();

grant select on log.merges to writer, projector, reader, auditor;
