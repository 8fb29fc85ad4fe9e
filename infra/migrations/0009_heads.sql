-- Of each patient the number of events and the root over their leaves, as of the newest heads; and the signed heads
-- (infra/evidence/heads.py). Runs as owner.

create table log.patient_heads (
    patient_id uuid primary key,
    events integer not null check (events > 0),
    root bytea not null check (octet_length(root) = 32)
);

-- `origin` and `key` are those of the log, `size` is the number of events under the checkpoint of the same size.
create table log.heads (
    origin text not null,
    size bigint not null,
    key text not null,
    note bytea not null,
    signed_at timestamptz not null default clock_timestamp(),
    primary key (origin, size)
);

-- Of which heads log.patient_heads is, and the index from which proofs are made.
create table log.heads_index (
    one boolean primary key default true check (one),
    origin text not null,
    size bigint not null,
    index bytea not null
);

create trigger append_only before update or delete on log.heads
    for each row execute function log.refuse_change();
create trigger append_only_truncate before truncate on log.heads
    for each statement execute function log.refuse_change();

grant select (patient_id, patient_seq) on log.events to sealer;
grant select, insert, update on log.patient_heads, log.heads_index to sealer;
grant select, insert on log.heads to sealer;
grant select on log.patient_heads, log.heads, log.heads_index to reader, auditor;
