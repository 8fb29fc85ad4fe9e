-- The log: append-only, written by one function. Runs as owner.
-- Whoever is not named by a grant may not even call what we define.
alter default privileges revoke execute on functions from public;

create schema log;
create schema read authorization projector;
create schema access;

create table log.epoch (
    one boolean primary key default true check (one),
    epoch uuid not null default gen_random_uuid(),
    began_at timestamptz not null default clock_timestamp()
);
insert into log.epoch default values;

-- Clear: position, times, ids, type, key id. Everything else, author and reason included, is inside `payload`.
create table log.events (
    position bigint not null,
    recorded_at timestamptz not null,
    stream_id uuid not null,
    version integer not null,
    patient_id uuid,
    patient_seq integer,
    type text not null,
    occurred_at timestamptz not null,
    occurred_precision "char" not null,
    payload bytea not null,
    key_id uuid,
    leaf_hash bytea not null,
    primary key (stream_id, version),
    constraint events_position unique (position),
    constraint events_patient_seq unique (patient_id, patient_seq),
    check ((patient_id is null) = (patient_seq is null)),
    check (octet_length(leaf_hash) = 32)
);
-- Ciphertext does not compress; trying costs time under the lock.
alter table log.events alter column payload set storage external;

create table log.keys (
    key_id uuid primary key,
    patient_id uuid not null unique,
    wrapped bytea not null,
    created_at timestamptz not null default clock_timestamp()
);

create table log.identifiers (
    digest bytea primary key,
    patient_id uuid not null,
    position bigint not null
);

-- One row for every message and every command that was answered; kept.
create table log.receipts (
    key bytea primary key,
    source text not null,
    digest bytea not null,
    outcome text not null,
    answer bytea,
    first_position bigint,
    last_position bigint,
    position bigint not null,
    received_at timestamptz not null
);

-- Bytes as they came; large, and allowed to expire. `key_id` names the patient's key, or a row of `monthly_keys`.
create table log.raw_messages (
    receipt_key bytea not null,
    received_at timestamptz not null default clock_timestamp(),
    key_id uuid,
    sealed bytea not null
);
create index raw_messages_receipt on log.raw_messages (receipt_key);
alter table log.raw_messages alter column sealed set storage external;

create table log.monthly_keys (
    key_id uuid primary key,
    month date not null unique,
    wrapped bytea not null
);

create table log.rejected (
    rejected_id uuid primary key,
    receipt_key bytea not null unique,
    source text,
    content_type text,
    coordinates text not null,
    reasons jsonb not null,
    owner text not null default 'integration',
    state text not null default 'open' check (state in ('open', 'resolved', 'discarded')),
    attempts integer not null default 1,
    rejected_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz,
    closing_reason text
);
create index rejected_open on log.rejected (rejected_at) where state = 'open';

create table log.offsets (
    cluster_id text not null,
    topic_id text not null,
    partition integer not null,
    next_offset bigint not null,
    primary key (cluster_id, topic_id, partition)
);

create table access.reads (
    access_id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default clock_timestamp(),
    patient_id uuid,
    actor text not null,
    role text not null,
    organisation text,
    purpose text not null,
    outcome text not null,
    projection text,
    through_position bigint,
    answer_hash bytea,
    correlation_id text
);
create index reads_patient on access.reads (patient_id, access_id);

create table read.checkpoints (
    projection text primary key,
    position bigint not null,
    advanced_at timestamptz not null default clock_timestamp()
);
alter table read.checkpoints owner to projector;

create table read.parked (
    patient_id uuid primary key,
    since_position bigint not null,
    reason text not null,
    attempts integer not null default 1,
    parked_at timestamptz not null default clock_timestamp()
);
alter table read.parked owner to projector;

create function log.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % on %.% is refused', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
create trigger append_only before update or delete on log.events
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on log.events
    for each statement execute function log.refuse_change();
create trigger append_only before update or delete on access.reads
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on access.reads
    for each statement execute function log.refuse_change();

grant usage on schema log to writer, projector, reader, auditor;
grant usage on schema read to reader, auditor;
grant usage on schema access to reader, auditor;

grant select on log.events, log.keys, log.identifiers, log.receipts, log.raw_messages, log.rejected, log.offsets,
    log.monthly_keys, log.epoch to writer;
grant select on log.events, log.keys, log.epoch to projector;
grant select on log.events, log.keys, log.identifiers, log.epoch, log.rejected to reader;
grant select on all tables in schema log to auditor;
grant insert (patient_id, actor, role, organisation, purpose, outcome, projection, through_position, answer_hash,
    correlation_id) on access.reads to reader;
grant select on access.reads to reader, auditor;

alter default privileges for role projector in schema read grant select on tables to reader, auditor;
grant select on read.checkpoints, read.parked to reader, auditor;
