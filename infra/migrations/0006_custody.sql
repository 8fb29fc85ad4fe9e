-- Custody of keys: retired versions of the key-encryption key, requests to destroy a patient's key, and the marks that
-- a destruction leaves. Runs as owner.

create table log.retired_key_versions (
    version text primary key,
    retired_at timestamptz not null default clock_timestamp()
);

-- A retired version may be in a key file that someone restored: nothing new may come under it, whoever writes.
create function log.refuse_retired_version() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    if exists (select from added a join log.retired_key_versions r on r.version = log.key_version(a.wrapped)) then
        raise exception 'this version of the key-encryption key is retired' using errcode = 'PCP02';
    end if;
    return null;
end
$$;
create trigger no_retired_version after insert on log.keys referencing new table as added
    for each statement execute function log.refuse_retired_version();
create trigger no_retired_version_again after update on log.keys referencing new table as added
    for each statement execute function log.refuse_retired_version();
create trigger no_retired_version after insert on log.monthly_keys referencing new table as added
    for each statement execute function log.refuse_retired_version();
create trigger no_retired_version_again after update on log.monthly_keys referencing new table as added
    for each statement execute function log.refuse_retired_version();

-- Requested by one person, confirmed by another, carried out when due. `reason` and the names are of the two people
-- and stay in clear; the program refuses a reason that says who the patient is. `position` and `key_id` are those of
-- the event that tells of it.
create table log.destructions (
    destruction_id uuid primary key,
    patient_id uuid not null,
    reason text not null,
    requested_by text not null,
    requested_at timestamptz not null default clock_timestamp(),
    confirmed_by text,
    confirmed_at timestamptz,
    due_at timestamptz,
    withdrawn_by text,
    withdrawn_at timestamptz,
    carried_out_at timestamptz,
    key_id uuid,
    position bigint unique,
    constraint two_people check (lower(confirmed_by) <> lower(requested_by)),
    constraint in_order check ((due_at is null) = (confirmed_by is null) and due_at >= confirmed_at
                               and (carried_out_at is null or confirmed_by is not null))
);
create unique index destructions_open on log.destructions (patient_id) where withdrawn_at is null;

-- Identifiers of destroyed patients, as digests under the index key: whoever is named by one is not made anew.
create table log.suppressed (
    digest bytea primary key,
    patient_id uuid not null
);

grant usage on schema log to custodian;
grant select on log.events, log.keys, log.monthly_keys, log.identifiers, log.receipts, log.raw_messages, log.rejected,
    log.merges, log.epoch, log.retired_key_versions, log.destructions, log.suppressed to custodian;
grant select on log.destructions, log.suppressed to writer;
grant select on log.destructions to projector, reader;
grant select on log.retired_key_versions, log.destructions, log.suppressed to auditor;
